"""The typed client of a region for our own services and for operators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import grpc

from babysea_sdk.connection import Connection
from babysea_sdk.deadlines import seconds_for_call
from babysea_sdk.errors import error_from
from babysea_sdk.methods import Q, R, Stream, Unary
from babysea_sdk.services import (
    AccountsClient,
    FilesClient,
    GenerationsClient,
    KeysClient,
    LedgerClient,
    RoutingClient,
    SettingsClient,
)
from babysea_sdk.tls import TlsFiles

_SERVICE_TOKEN = "x-babysea-service"  # noqa: S105
_CLIENT_ADDRESS = "x-babysea-client-address"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a caller presents with each call; over mTLS its certificate says the rest."""

    bearer: str = ""
    """A customer's API key, or an operator's token where there is no mTLS."""
    service_token: str = ""
    """The token of our own services where there is no mTLS."""
    client_address: str = ""
    """The customer's address; believed from our own services only."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """As it is sent."""
        pairs = (
            ("authorization", f"Bearer {self.bearer}" if self.bearer else ""),
            (_SERVICE_TOKEN, self.service_token),
            (_CLIENT_ADDRESS, self.client_address),
        )
        return tuple(pair for pair in pairs if pair[1])


class _Calls:
    """Makes calls over the channel of the moment. Retries are the channel's: where the service config allows them."""

    def __init__(self, connection: Connection, identity: Identity) -> None:
        self.connection = connection
        self.identity = identity
        self._channel: grpc.aio.Channel | None = None
        self._made: dict[str, Any] = {}

    async def unary(self, method: Unary[Q, R], request: Q, seconds: float | None) -> R:
        made = self._made_for(method)
        try:
            answer: R = await made(
                request, metadata=self.identity.metadata, timeout=_timeout(method.path, seconds)
            )
        except grpc.aio.AioRpcError as error:
            raise error_from(error.code(), error.trailing_metadata() or ()) from None
        return answer

    async def stream(self, method: Stream[Q, R], request: Q, seconds: float | None) -> AsyncIterator[R]:
        call = self._made_for(method)(
            request, metadata=self.identity.metadata, timeout=_timeout(method.path, seconds)
        )
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise error_from(error.code(), error.trailing_metadata() or ()) from None
        finally:
            call.cancel()

    def _made_for(self, method: Unary[Q, R] | Stream[Q, R]) -> Any:
        channel = self.connection.channel()
        if channel is not self._channel:
            self._channel, self._made = channel, {}
        made = self._made.get(method.path)
        if made is None:
            make = channel.unary_stream if isinstance(method, Stream) else channel.unary_unary
            made = make(
                method.path,
                request_serializer=method.serialize,
                response_deserializer=method.parse,
            )
            self._made[method.path] = made
        return made


class InternalClient:
    """The services of one region, for the event loop that runs now.

    Deadlines and retries come from the service configs of the contracts: only what may safely happen twice is repeated.
    Every failed call raises `RefusedError` or `NoAnswerError`.
    """

    def __init__(
        self,
        target: str,
        *,
        tls: TlsFiles | None = None,
        region: str | None = None,
        identity: Identity | None = None,
    ) -> None:
        """Opens the connection; nothing is sent before the first call.

        Args:
            target: "host:port", or "address:port;address:port" for several processes, which take turns.
            tls: certificate files, read again when they change; plaintext when omitted.
            region: checks that the server's certificate is that region's; its address is checked when omitted.
            identity: what to present with each call; over mTLS the certificate is enough.

        Raises:
            ValueError: the target or the files cannot be used; the message says what to do.
        """
        self._bind(_Calls(Connection(target, tls=tls, region=region), identity or Identity()))

    def on_behalf_of(self, api_key: str, client_address: str = "") -> InternalClient:
        """The same connection, calling with a customer's key; closing either closes both."""
        other = object.__new__(InternalClient)
        identity = replace(self._calls.identity, bearer=api_key, client_address=client_address)
        other._bind(_Calls(self._calls.connection, identity))
        return other

    async def close(self) -> None:
        """Ends every call and the connections."""
        await self._calls.connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _bind(self, calls: _Calls) -> None:
        self._calls = calls
        self.ledger = LedgerClient(calls)
        self.keys = KeysClient(calls)
        self.accounts = AccountsClient(calls)
        self.settings = SettingsClient(calls)
        self.routing = RoutingClient(calls)
        self.generations = GenerationsClient(calls)
        self.files = FilesClient(calls)


def _timeout(path: str, seconds: float | None) -> float | None:
    limit = seconds_for_call(path, seconds)
    if limit is not None and limit <= 0:
        # Not sent: nobody would be there for the answer.
        raise error_from(grpc.StatusCode.DEADLINE_EXCEEDED, ())
    return limit
