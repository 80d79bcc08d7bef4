"""Spans of the gateway: one per request, one per call to the region. No prompt, key or address in any of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind, StatusCode
from starlette.types import Scope

from gateway.exchange import Exchange
from gateway.methods import Method, Q, R
from kit.telemetry import context_of, traceparent, tracer

PROBES = frozenset({"/healthz", "/readyz"})
"""Paths that are asked every few seconds and say nothing about a customer."""


@contextmanager
def request_span(scope: Scope, exchange: Exchange) -> Iterator[Span]:
    """The span of a request, in the trace that the client's traceparent names when it is well-formed."""
    parent = {
        name: exchange.headers[name] for name in ("traceparent", "tracestate") if name in exchange.headers
    }
    with tracer().start_as_current_span(
        scope["method"],
        context=context_of(parent),
        kind=SpanKind.SERVER,
        attributes={
            "http.request.method": scope["method"],
            "url.scheme": scope["scheme"],
            "babysea.request_id": exchange.request_id,
        },
        # An exception's text may hold a customer's data.
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        exchange.traceparent = traceparent() or untraced()
        yield span


def end_request(span: Span, method: str, route: str, status: int, exchange: Exchange) -> None:
    """Names the span after its route, which is only known once the request was routed."""
    span.update_name(f"{method} {route}")
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if exchange.error is not None:
        span.set_attribute("error.type", exchange.error.spec.bse_code)
    if status >= 500:
        span.set_status(StatusCode.ERROR)


@contextmanager
def call_span(method: Method[Q, R]) -> Iterator[Span]:
    """The span of one call to the region."""
    with tracer().start_as_current_span(
        method.path[1:],
        kind=SpanKind.CLIENT,
        attributes={"rpc.system": "grpc", "rpc.service": method.service, "rpc.method": method.name},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


def end_call(span: Span, code: int) -> None:
    """Notes how a call ended; `code` is the number of its gRPC status."""
    span.set_attribute("rpc.grpc.status_code", code)
    if code:
        span.set_status(StatusCode.ERROR)


def untraced() -> str:
    """A traceparent that says "not recorded", for replies to requests without a span."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def route_of(scope: Scope) -> str:
    """The route that took a request, for example "/v1/content/{generation_id}"; never the path itself."""
    return getattr(scope.get("route"), "path_format", "") or "(no route)"
