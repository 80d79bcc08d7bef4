"""Connections to hosts that customers and providers name: resolved once, every address judged, and connected to exactly that address.

A check of the name alone would be worth nothing: between the check and the connection a name server may answer otherwise.
Here the connection is made to the address that was judged, while TLS and the Host header still have the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable

import httpcore
import httpx

from server.providers.addresses import is_public
from server.providers.resolver import Resolver

Resolve = Callable[[str, int], Awaitable[tuple[str, ...]]]
"""Looks a host's addresses up."""

NETWORK_ERRORS = (
    *(httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException),
    httpcore.UnsupportedProtocol,
)
"""What a request over such a connection raises for whatever the other side does, besides ForbiddenAddress."""
_CONNECT_SECONDS = 10.0
_KEPT_SECONDS = 15.0
_MOST_TRIED = 3
MOST_CONNECTIONS = 64
"""Connections of a pool at a time."""


class ForbiddenAddress(Exception):  # noqa: N818
    """The host has an address that is not one of the public internet."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections to public addresses only."""

    def __init__(self, *, allow_loopback: bool, resolve: Resolve | None = None) -> None:
        """Takes whether loopback counts as public too, for development, and how names are looked up.

        Without the latter it has a resolver of its own, so that other backends' names wait for none of its names.
        """
        self._allow_loopback = allow_loopback
        self._resolve = resolve or Resolver().resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is the library's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to one of the host's addresses.

        Raises:
            ForbiddenAddress: any of them is not public: a host that mixes them is trying something.
            httpcore.ConnectError: it has no address, or none of them answers.
        """
        try:
            addresses = await self._resolve(host, port)
        except OSError:
            raise httpcore.ConnectError("the host has no address") from None
        if not addresses or not all(self._is_allowed(address) for address in addresses):
            raise ForbiddenAddress
        return await self._connect(addresses[:_MOST_TRIED], port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is the library's
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never: a socket in the file system is ours.

        Raises:
            ForbiddenAddress: always.
        """
        raise ForbiddenAddress

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)

    async def _connect(
        self,
        addresses: tuple[str, ...],
        port: int,
        seconds: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError("the host has no address")
        for address in addresses:
            try:
                stream = await self._network.connect_tcp(
                    address, port, seconds, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            if self._is_allowed(peer_of(stream)):
                return stream
            await stream.aclose()
            raise ForbiddenAddress
        raise failure

    def _is_allowed(self, address: str) -> bool:
        return is_public(address) or (self._allow_loopback and _is_loopback(address))


def open_guarded(backend: GuardedBackend, *, kept: int = 0) -> httpcore.AsyncConnectionPool:
    """A pool over such a backend, which keeps so many idle connections for a while: they lead to a judged address."""
    return httpcore.AsyncConnectionPool(
        max_connections=MOST_CONNECTIONS,
        max_keepalive_connections=kept,
        keepalive_expiry=_KEPT_SECONDS,
        network_backend=backend,
        ssl_context=httpcore.default_ssl_context(),
    )


def target_of(url: httpx.URL) -> httpcore.URL:
    """The same URL for such a pool."""
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def connect_limits() -> dict[str, float]:
    """The time limits of a request's single operations; the whole of it needs another."""
    return {"connect": _CONNECT_SECONDS, "pool": _CONNECT_SECONDS}


def peer_of(stream: httpcore.AsyncNetworkStream) -> str:
    """The address at the other end; empty where it is not known."""
    address = stream.get_extra_info("server_addr")
    return str(address[0]) if isinstance(address, tuple) else ""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
