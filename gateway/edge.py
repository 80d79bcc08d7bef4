"""The outermost layer of every request: its id, region, address and span; the headers of its reply; its log line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry.trace import Span
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from babysea.common.v1 import error_reason_pb2
from gateway import cors
from gateway.address import client_address
from gateway.auth import FAILURES
from gateway.envelope import failure
from gateway.errors import not_found
from gateway.exchange import SCOPE_KEY, Exchange
from gateway.headers import reply_headers
from gateway.limits import FailureLimit
from gateway.region import region_of
from gateway.tracing import PROBES, end_request, request_span, route_of, untraced
from gateway.upstream import SCOPE_KEY as UPSTREAM_KEY
from gateway.upstream import Upstream
from kit.errors import BabySeaError
from kit.ids import request_id
from kit.settings import Region
from kit.telemetry import region_scope

logger = logging.getLogger("gateway.requests")


@dataclass(slots=True)
class _Reply:
    """Passes a reply on, with the headers that every reply has."""

    send: Send
    exchange: Exchange
    failures: FailureLimit
    status: int = 0
    """0 until the reply has begun."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            exchange = self.exchange
            if exchange.error is not None and exchange.error.reason in FAILURES:
                self.failures.count(exchange.region, exchange.address)
            rate = exchange.rate or self.failures.facts(exchange.region, exchange.address)
            headers = [*message.get("headers", []), *reply_headers(exchange, rate), *cors.HEADERS]
            message = {**message, "headers": headers}
        await self.send(message)


class Edge:
    """Wraps the routes. Whatever goes wrong inside, the client gets an envelope and never an exception's text."""

    def __init__(
        self, app: ASGIApp, upstreams: Mapping[Region, Upstream], failures: FailureLimit, trusted_hops: int
    ) -> None:
        self._app = app
        self._upstreams = upstreams
        self._failures = failures
        self._trusted_hops = trusted_hops

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        exchange = self._begin(scope)
        reply = _Reply(send, exchange, self._failures)
        if scope["path"] in PROBES:
            exchange.traceparent = untraced()
            await self._answer(scope, receive, reply, exchange)
            return
        with region_scope(exchange.region), request_span(scope, exchange) as span:
            try:
                await self._answer(scope, receive, reply, exchange)
            finally:
                self._end(scope, span, reply, exchange)

    def _begin(self, scope: Scope) -> Exchange:
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else ""
        exchange = Exchange(
            request_id=request_id(),
            region=region_of(scope),
            address=client_address(peer, headers.getlist("x-forwarded-for"), self._trusted_hops),
            headers=headers,
            scope=scope,
        )
        scope[SCOPE_KEY] = exchange
        return exchange

    async def _answer(self, scope: Scope, receive: Receive, reply: _Reply, exchange: Exchange) -> None:
        if cors.is_preflight(scope["method"], exchange.headers):
            await cors.preflight()(scope, receive, reply)
            return
        upstream = self._upstreams.get(exchange.region)
        if upstream is None:
            # A Host may name a region that this gateway does not serve; no other region may see the request.
            await failure(exchange, not_found())(scope, receive, reply)
            return
        scope[UPSTREAM_KEY] = upstream
        try:
            await self._app(scope, receive, reply)
        except Exception as error:
            logger.error(
                "a request crashed",
                exc_info=error,
                extra={"facts": {"request_id": exchange.request_id, "route": route_of(scope)}},
            )
            # Once bytes are out, an incomplete reply is the only honest one; the server then cuts the connection.
            if not reply.status:
                crashed = BabySeaError(error_reason_pb2.ERROR_REASON_INTERNAL_ERROR)
                await failure(exchange, crashed)(scope, receive, reply)

    def _end(self, scope: Scope, span: Span, reply: _Reply, exchange: Exchange) -> None:
        route = route_of(scope)
        end_request(span, scope["method"], route, reply.status, exchange)
        facts: dict[str, object] = {
            "request_id": exchange.request_id,
            "region": exchange.region,
            "method": scope["method"],
            "route": route,
            "status": reply.status,
            "millis": round(exchange.elapsed() * 1000, 1),
        }
        if exchange.error is not None:
            facts["code"] = exchange.error.spec.bse_code
        logger.info("request", extra={"facts": facts})
