"""One region as the gateway sees it: a channel, an identity, and calls that carry the caller's own credential."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from starlette.requests import Request

from babysea_sdk import Connection, TlsFiles
from gateway.errors import OUTCOME, public_error
from gateway.exchange import Exchange
from gateway.headers import Metadata, learn, metadata_of
from gateway.identity import ServiceToken
from gateway.methods import CHECK_HEALTH, Method, Q, R
from gateway.tracing import call_span, end_call
from kit.errors import BabySeaError
from kit.rpc import STATUS_METADATA, error_of
from kit.settings import Region
from kit.telemetry import traceparent

SCOPE_KEY = "babysea.upstream"
_HEALTH_SECONDS = 2.0
_CONNECT_POLL_SECONDS = 0.02
READY = grpc.ChannelConnectivity.READY
logger = logging.getLogger(__name__)

_UNDECIDED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.CANCELLED,
    }
)
"""Codes that a broken connection can produce at any moment, so also after the region has done its work."""


class RegionError(BabySeaError):
    """A call to the region failed."""

    def __init__(self, error: BabySeaError, *, undecided: bool) -> None:
        super().__init__(error.reason, error.message, details=error.details)
        self.undecided = undecided
        """Whether the region may have done what it was asked; False when it said itself that it did not."""


class Upstream:
    """The regional servers of one region."""

    def __init__(
        self, region: Region, target: str, token: ServiceToken | None, tls: TlsFiles | None = None
    ) -> None:
        self.region = region
        self._token = token
        # Over TLS the certificate must be this region's: a wrong address never gets another region's customers.
        self._connection = Connection(target, tls=tls, region=None if tls is None else region)
        self._called: grpc.aio.Channel | None = None
        self._calls: dict[str, Any] = {}

    async def call(
        self,
        exchange: Exchange,
        method: Method[Q, R],
        request: Q,
        *,
        seconds: float | None = None,
        for_key: bool = True,
    ) -> R:
        """Makes one call, with the credential that the route accepted or with the gateway's own identity.

        Args:
            exchange: the request that the call is made for; learns the limits and timings that come back.
            method: what to call.
            request: with what.
            seconds: time for the answer; what is left of the request's time when omitted. The method's own limit from
                its service config holds in any case.
            for_key: whether the caller's key goes along.

        Raises:
            RegionError: the region refused, or did not answer.
        """
        send = self._unary(method)
        with call_span(method) as span:
            metadata = self._metadata(exchange, exchange.credential if for_key else None)
            call = send(request, metadata=metadata, timeout=min(exchange.remaining(), seconds or 60.0))
            try:
                answer: R = await call
            except grpc.aio.AioRpcError as error:
                end_call(span, error.code().value[0])
                raise self._failed(exchange, method, error) from None
            learn(exchange, await call.trailing_metadata())
            end_call(span, 0)
            return answer

    @asynccontextmanager
    async def stream(
        self, exchange: Exchange, method: Method[Q, R], request: Q
    ) -> AsyncIterator[AsyncIterator[R]]:
        """The answers of a streaming call, made for the caller if the route accepted a credential; leaving ends the call.

        Raises:
            RegionError: while iterating, when the region refuses or the stream breaks.
        """
        open_stream: grpc.aio.UnaryStreamMultiCallable[Q, R] = self._connection.channel().unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        with call_span(method) as span:
            call = open_stream(request, metadata=self._metadata(exchange, exchange.credential))
            try:
                yield self._answers(exchange, method, call)
                end_call(span, 0)
            except RegionError as error:
                end_call(span, getattr(grpc.StatusCode, error.spec.grpc_code).value[0])
                raise
            finally:
                call.cancel()

    async def _answers(
        self, exchange: Exchange, method: Method[Q, R], call: grpc.aio.UnaryStreamCall[Q, R]
    ) -> AsyncIterator[R]:
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise self._failed(exchange, method, error) from None

    def _failed(self, exchange: Exchange, method: Method[Q, R], error: grpc.aio.AioRpcError) -> RegionError:
        trailing = tuple(error.trailing_metadata() or ())
        learn(exchange, trailing)
        stated = any(key == STATUS_METADATA for key, _ in trailing)
        code = error.code()
        if not stated:
            logger.warning(
                "the region gave no answer",
                extra={"facts": {"region": self.region, "method": method.path, "grpc_code": code.name}},
            )
        # A deadline can pass on either side of the commit, whoever notices it first.
        undecided = code is grpc.StatusCode.DEADLINE_EXCEEDED or (not stated and code in _UNDECIDED)
        told = error_of(error)
        undecided = undecided or told.details.get(OUTCOME) == "unknown"
        return RegionError(public_error(told, method.fields), undecided=undecided)

    async def connected(self, seconds: float) -> bool:
        """Whether a connection stands, waiting for one up to `seconds`. Without one nothing was ever sent."""

        async def stands() -> None:
            while self._connection.channel().get_state(try_to_connect=True) is not READY:  # noqa: ASYNC110
                # Waiting for the channel's own signal cannot be given up without leaving a watcher behind.
                await asyncio.sleep(_CONNECT_POLL_SECONDS)

        try:
            await asyncio.wait_for(stands(), seconds)
        except TimeoutError:
            return False
        return True

    async def healthy(self) -> bool:
        """Whether a regional server says that it serves."""
        call = self._unary(CHECK_HEALTH)
        try:
            answer = await call(health_pb2.HealthCheckRequest(), timeout=_HEALTH_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def forget_identity(self) -> None:
        """Makes the next call read the service token again."""
        if self._token is not None:
            self._token.forget()

    async def close(self) -> None:
        """Ends every call and the connections."""
        await self._connection.close()

    def _metadata(self, exchange: Exchange, authorization: str | None) -> Metadata:
        token = "" if self._token is None else self._token.read()
        return metadata_of(
            exchange, service_token=token, traceparent=traceparent(), authorization=authorization
        )

    def _unary(self, method: Method[Q, R]) -> grpc.aio.UnaryUnaryMultiCallable[Q, R]:
        channel = self._connection.channel()
        if channel is not self._called:
            self._called, self._calls = channel, {}
        call: grpc.aio.UnaryUnaryMultiCallable[Q, R] | None = self._calls.get(method.path)
        if call is None:
            call = channel.unary_unary(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.response.FromString,
            )
            self._calls[method.path] = call
        return call


def upstream_of(request: Request) -> Upstream:
    """The region that a request goes to."""
    upstream: Upstream = request.scope[SCOPE_KEY]
    return upstream


async def refuse(
    upstream: Upstream, exchange: Exchange, method: Method[Q, R], unacceptable: Q, error: BabySeaError
) -> BabySeaError:
    """The error for a request that the gateway itself cannot accept, after the checks that come before validation.

    The contract checks key, address, scope and rate limit before it looks at the values. The region does so for an
    unacceptable request of the same method, which its own validation then refuses; only a caller who came that far
    learns what was wrong.

    Args:
        upstream: the region.
        exchange: the request.
        method: the method that the request was meant for.
        unacceptable: a request that can never pass the method's validation rules.
        error: what is wrong with the real one.

    Returns:
        `error`, or what the region objects to first.
    """
    exchange.refused = error.spec.bse_code
    try:
        await upstream.call(exchange, method, unacceptable)
    except RegionError as first:
        if first.spec.grpc_code != "INVALID_ARGUMENT":
            return first
    return error
