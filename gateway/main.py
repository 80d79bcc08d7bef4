"""The gateway as a program: one process, one event loop, one port per region."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvicorn
import uvloop

from gateway.app import create_app
from gateway.identity import ServiceToken
from gateway.region import entry
from gateway.upstream import Upstream
from kit.clock import Clock
from kit.logs import configure_logs
from kit.settings import REGIONS, Region, Settings, pairs
from kit.telemetry import configure_telemetry

logger = logging.getLogger(__name__)
_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75


class GatewayStartError(Exception):
    """The gateway cannot start; the message is one sentence that says what to do."""


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
    sockets = _bind(served, loopback_only=settings.mode == "embedded")
    upstreams = _open(targets, tokens)
    app = create_app(upstreams, trusted_hops=settings.trusted_hops, clock=clock)
    servers = {
        region: _Server(
            uvicorn.Config(
                entry(app, region),
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
            )
        )
        for region in sockets
    }
    tasks = [asyncio.create_task(servers[region].serve(sockets=[sockets[region]])) for region in sockets]
    try:
        await asyncio.gather(*(server.accepting.wait() for server in servers.values()))
        yield RunningGateway({region: _url(bound) for region, bound in sockets.items()})
    finally:
        for server in servers.values():
            server.should_exit = True
        await asyncio.gather(*tasks)
        await asyncio.gather(*(upstream.close() for upstream in upstreams.values()))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Several servers share this process; it decides when they stop.
        yield


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
    if settings.mode == "production":
        raise GatewayStartError(
            "Production mode refuses plaintext, and the gateway cannot speak TLS to a region yet; use embedded mode."
        )


def _open(targets: Mapping[Region, str], tokens: Mapping[Region, str]) -> dict[Region, Upstream]:
    try:
        return {
            region: Upstream(region, target, ServiceToken(Path(tokens[region])) if region in tokens else None)
            for region, target in targets.items()
        }
    except ValueError as error:
        raise GatewayStartError(f"BABYSEA_GATEWAY_UPSTREAMS: {error}") from None


def _bind(listens: Mapping[Region, str], *, loopback_only: bool) -> dict[Region, socket.socket]:
    bound: dict[Region, socket.socket] = {}
    try:
        for region, address in listens.items():
            bound[region] = _bind_one(region, address, loopback_only=loopback_only)
    except GatewayStartError:
        for opened in bound.values():
            opened.close()
        raise
    return bound


def _bind_one(region: Region, address: str, *, loopback_only: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]").replace("localhost", "127.0.0.1")
    try:
        ip, number = ipaddress.ip_address(host), int(port)
    except ValueError:
        raise GatewayStartError(
            f'BABYSEA_GATEWAY_LISTEN: "{address}" for {region} is no address; write it like 127.0.0.1:8080.'
        ) from None
    if loopback_only and not ip.is_loopback:
        raise GatewayStartError(f"Embedded mode listens on loopback only; {region} asks for {address}.")
    bound = socket.socket(socket.AF_INET if ip.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, number))
        bound.listen(_BACKLOG)
    except (OSError, OverflowError):
        bound.close()
        raise GatewayStartError(
            f"The gateway cannot listen on {address} for {region}: stop the program that has the port, or set "
            "BABYSEA_GATEWAY_LISTEN to a free one."
        ) from None
    return bound


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
