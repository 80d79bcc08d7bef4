"""The typed client for programs without an event loop, such as command lines."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self, cast

import grpc

from babysea_sdk.channel import channel_options, resolvable
from babysea_sdk.connection import server_name
from babysea_sdk.deadlines import seconds_for_call
from babysea_sdk.errors import error_from
from babysea_sdk.internal import Identity
from babysea_sdk.methods import Q, R, Unary
from babysea_sdk.services import (
    AccountsClient,
    GenerationsClient,
    KeysClient,
    LedgerClient,
    RoutingClient,
    SettingsClient,
)
from babysea_sdk.tls import TlsFiles, TlsReader


class _FailedCall(Protocol):
    """What a failed call of the blocking API is: an RpcError that is also the call."""

    def code(self) -> grpc.StatusCode: ...

    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...] | None: ...


class BlockingClient:
    """The services of one region: `client.call(client.ledger.get_balance, request)`."""

    accounts = AccountsClient
    settings = SettingsClient
    keys = KeysClient
    ledger = LedgerClient
    routing = RoutingClient
    generations = GenerationsClient

    def __init__(
        self,
        target: str,
        *,
        tls: TlsFiles | None = None,
        region: str | None = None,
        identity: Identity | None = None,
        reconnect_ms: tuple[int, int] | None = None,
    ) -> None:
        """Opens the channel; nothing is sent before the first call.

        Args:
            target: as for `InternalClient`.
            tls: certificate files, read once.
            region: as for `InternalClient`.
            identity: what to present with each call.
            reconnect_ms: shortest and longest wait before connecting again; those of `open_channel` when omitted.

        Raises:
            ValueError: the target or the files cannot be used; the message says what to do.
        """
        options = channel_options(
            None, None if region is None else server_name(region), reconnect_ms=reconnect_ms
        )
        self._metadata = (identity or Identity()).metadata
        if tls is None:
            self._channel = grpc.insecure_channel(resolvable(target), options=options)
        else:
            credentials = TlsReader(tls).current().for_client()
            self._channel = grpc.secure_channel(resolvable(target), credentials, options=options)

    def call(self, method: Unary[Q, R], request: Q, *, seconds: float | None = None) -> R:
        """The answer of one method.

        Raises:
            RefusedError: the region said no.
            NoAnswerError: no server answered in time.
        """
        timeout = seconds_for_call(method.path, seconds)
        if timeout is not None and timeout <= 0:
            raise error_from(grpc.StatusCode.DEADLINE_EXCEEDED, ())
        made = self._channel.unary_unary(
            method.path, request_serializer=method.serialize, response_deserializer=method.parse
        )
        try:
            answer: R = made(request, metadata=self._metadata, timeout=timeout)
        except grpc.RpcError as error:
            failed = cast("_FailedCall", error)
            raise error_from(failed.code(), failed.trailing_metadata() or ()) from None
        return answer

    def close(self) -> None:
        """Ends every call and the connections."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
