"""Tracing: one SERVER span a call, joined to the trace of its caller.

The contrib interceptor marks crashed and rich-status calls as successful and records expected refusals as exceptions.
"""

from __future__ import annotations

from typing import ClassVar

import grpc
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from kit.telemetry import context_of, tracer
from server.runtime.interceptors.call import Call, Proceed
from server.runtime.interceptors.outcome import code_after

# Codes that are the server's fault (OpenTelemetry's convention for gRPC server spans).
_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


class Tracing:
    """Begins a span per call; health checks and reflection have none."""

    name: ClassVar[str] = "tracing"
    after: ClassVar[tuple[str, ...]] = ()

    async def around(self, call: Call, proceed: Proceed) -> object:
        """Runs the rest of the call inside its span."""
        if call.method.is_probe:
            return await proceed()
        span = tracer().start_span(
            call.method.path.removeprefix("/"),
            context=context_of({key: call.text(key) for key in ("traceparent", "tracestate")}),
            kind=SpanKind.SERVER,
            attributes={
                "rpc.system": "grpc",
                "rpc.service": call.method.service,
                "rpc.method": call.method.name,
            },
        )
        # The status is ours to set, and a refusal is no exception worth an event.
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                response = await proceed()
            except BaseException as error:
                _finish(span, code_after(call, error))
                raise
            _finish(span, code_after(call, None))
            return response


def _finish(span: trace.Span, code: grpc.StatusCode) -> None:
    span.set_attribute("rpc.grpc.status_code", int(code.value[0]))
    if code in _FAULTS:
        span.set_status(Status(StatusCode.ERROR, code.name))
