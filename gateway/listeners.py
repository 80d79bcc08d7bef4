"""Ports of the gateway: one per region, all served by one event loop."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from gateway.region import entry
from kit.settings import Region

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
_STALLED_SECONDS = 30
"""The kernel ends a connection whose client has taken nothing that was sent for so long; closing it would wait for that."""


class GatewayStartError(Exception):
    """The gateway cannot start; the message is one sentence that says what to do."""


@asynccontextmanager
async def listening(
    app: ASGIApp, sockets: Mapping[Region, socket.socket], *, drain_seconds: float
) -> AsyncIterator[None]:
    """Serves an application on each region's port; leaving answers the requests in progress and closes the ports."""
    servers = {region: _Server(_config(entry(app, region), drain_seconds)) for region in sockets}
    tasks = [asyncio.create_task(servers[region].serve(sockets=[sockets[region]])) for region in sockets]
    try:
        await asyncio.gather(*(server.accepting.wait() for server in servers.values()))
        yield
    finally:
        for server in servers.values():
            server.should_exit = True
        await asyncio.gather(*tasks)


def _config(app: ASGIApp, drain_seconds: float) -> uvicorn.Config:
    # Its lines hold paths, and with them tokens of letters and files; no handler anywhere may see them.
    logging.getLogger("uvicorn.access").disabled = True
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        # The edge reads X-Forwarded-For itself, by the number of trusted hops.
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )


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


def bind(listens: Mapping[Region, str], *, loopback_only: bool) -> dict[Region, socket.socket]:
    """Opens the port of each region.

    Raises:
        GatewayStartError: an address is wrong, taken or, where only loopback is allowed, public; then none stays open.
    """
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
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Connections inherit it. Other systems than Linux do not have it.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_SECONDS * 1000)
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


def url_of(bound: socket.socket) -> str:
    """Where a port is reached, for example "http://127.0.0.1:8080"."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
