"""The gateway as a program: one process, one event loop, one port per region."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from babysea_sdk import TlsFiles, TlsFilesError
from babysea_sdk.channel import resolvable
from gateway.app import create_app
from gateway.identity import ServiceToken
from gateway.listeners import GatewayStartError, bind, listening, url_of
from gateway.upstream import Upstream
from kit.clock import Clock
from kit.logs import configure_logs
from kit.settings import REGIONS, Region, Settings, pairs
from kit.telemetry import configure_telemetry

__all__ = ["GatewayStartError", "RunningGateway", "run", "serving"]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway that accepts requests."""

    urls: Mapping[Region, str]
    """Where each region's port listens, for example {"us": "http://127.0.0.1:8080"}."""


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then finishes the requests in progress and returns.

    Raises:
        GatewayStartError: a setting is wrong or a port is taken.
    """
    configure_logs(settings.log_level)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    telemetry = configure_telemetry(
        "gateway",
        sample_ratio=settings.trace_sample_ratio,
        trace_dir=settings.trace_dir,
        otlp_endpoint=settings.otlp_endpoint,
    )
    try:
        uvloop.run(_serve_until_told(settings))
    finally:
        telemetry.shutdown()


async def _serve_until_told(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with serving(settings) as gateway:
        logger.info("the gateway is ready", extra={"facts": {"urls": dict(gateway.urls)}})
        await stop.wait()
        logger.info("the gateway stops")


@asynccontextmanager
async def serving(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[RunningGateway]:
    """A running gateway in the current event loop; leaving drains it.

    Args:
        settings: the gateway's fields, `mode` and `drain_seconds`.
        clock: time of the limit before authentication.

    Raises:
        GatewayStartError: a setting is wrong or a port is taken.
    """
    targets = _regions(settings.gateway_upstreams, "BABYSEA_GATEWAY_UPSTREAMS")
    tokens = _regions(settings.gateway_service_tokens, "BABYSEA_GATEWAY_SERVICE_TOKENS")
    listens = _regions(settings.gateway_listen, "BABYSEA_GATEWAY_LISTEN")
    served = {region: address for region, address in listens.items() if region in targets}
    _check(settings, targets, served)
    upstreams = _open(targets, tokens, {region: _tls(settings, region) for region in targets})
    try:
        app = create_app(
            upstreams,
            trusted_hops=settings.trusted_hops,
            clock=clock,
            production=settings.mode == "production",
        )
        sockets = bind(served, loopback_only=settings.mode == "embedded")
        async with listening(app, sockets, drain_seconds=settings.drain_seconds):
            yield RunningGateway({region: url_of(bound) for region, bound in sockets.items()})
    finally:
        await asyncio.gather(*(upstream.close() for upstream in upstreams.values()))


def _regions(text: str, variable: str) -> dict[Region, str]:
    try:
        named = pairs(text)
    except ValueError as error:
        raise GatewayStartError(f"{variable}: {error}; write it like us=value,eu=value.") from None
    unknown = set(named) - set(REGIONS)
    if unknown:
        raise GatewayStartError(f"{variable} names {sorted(unknown)[0]!r}; the regions are us, eu and jp.")
    return cast("dict[Region, str]", named)


def _check(settings: Settings, targets: Mapping[Region, str], served: Mapping[Region, str]) -> None:
    if not targets:
        raise GatewayStartError(
            "Set BABYSEA_GATEWAY_UPSTREAMS to the regional servers, like us=127.0.0.1:50051."
        )
    if not served:
        raise GatewayStartError("BABYSEA_GATEWAY_LISTEN gives no address for a region that has an upstream.")


def _tls(settings: Settings, region: Region) -> TlsFiles | None:
    named = (
        settings.gateway_tls_ca_file,
        settings.gateway_tls_certificate_file,
        settings.gateway_tls_key_file,
    )
    files = TlsFiles(*(path and Path(str(path).replace("{region}", region)) for path in named))
    if settings.mode == "production" and len(files.named) < 3:
        raise GatewayStartError(
            "Production mode refuses plaintext to a region; set BABYSEA_GATEWAY_TLS_CA_FILE, "
            "BABYSEA_GATEWAY_TLS_CERTIFICATE_FILE and BABYSEA_GATEWAY_TLS_KEY_FILE."
        )
    if files.named and files.authorities is None:
        raise GatewayStartError(
            "A certificate of the gateway needs BABYSEA_GATEWAY_TLS_CA_FILE, which turns TLS on."
        )
    return files if files.named else None


def _open(
    targets: Mapping[Region, str], tokens: Mapping[Region, str], tls: Mapping[Region, TlsFiles | None]
) -> dict[Region, Upstream]:
    try:
        for target in targets.values():
            resolvable(target)
    except ValueError as error:
        raise GatewayStartError(f"BABYSEA_GATEWAY_UPSTREAMS: {error}") from None
    try:
        return {
            region: Upstream(
                region, target, ServiceToken(Path(tokens[region])) if region in tokens else None, tls[region]
            )
            for region, target in targets.items()
        }
    except TlsFilesError as error:
        raise GatewayStartError(f"BABYSEA_GATEWAY_TLS_*: {error}") from None
