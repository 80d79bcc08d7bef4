"""What stages do around a call: deadlines, spans, log lines, figures, probes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from babysea.common.v1 import error_reason_pb2
from babysea.keys.v1 import key_service_pb2 as pb
from kit.errors import BabySeaError
from kit.rpc import error_of
from server.runtime.interceptors.chain import Chain
from server.runtime.interceptors.deadline import Deadline
from tests.contract.server.harness import SERVICE, harness, health_stub

METHOD = "/babysea.keys.v1.KeyService/GetCallerKey"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Spans of this test; the provider of the process is made once and keeps its exporters."""
    exporter = InMemorySpanExporter()
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


async def forever() -> None:
    await asyncio.Event().wait()


def shorter(chain: Chain) -> Chain:
    stages = [Deadline(0.05, 0.1) if stage.name == "deadline" else stage for stage in chain._stages]
    return Chain(stages)


def named(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]


@pytest.mark.parametrize("seconds", [None, 60.0])
async def test_a_call_ends_at_our_limit_even_when_its_client_would_wait(seconds: float | None) -> None:
    async with harness(shorter) as server:
        server.script.behave = forever
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await server.call(seconds=seconds)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error_of(failed.value).spec.bse_code == "BSE5003"


async def test_a_stream_without_a_deadline_may_last() -> None:
    async with harness(shorter) as server:
        gate = asyncio.Event()

        async def wait_longer_than_a_unary_call_may() -> None:
            await asyncio.sleep(0.2)
            gate.set()

        server.script.behave = wait_longer_than_a_unary_call_may
        assert [message.chunk async for message in server.read()] == [b"one", b"two"]
        assert gate.is_set()


async def test_a_timeout_inside_a_handler_is_not_taken_for_the_calls_own() -> None:
    async with harness() as server:

        async def time_out() -> None:
            async with asyncio.timeout(0.01):
                await forever()

        server.script.behave = time_out
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await server.call()
    assert error_of(failed.value).spec.name == "SERVICE_UNAVAILABLE"


async def test_a_call_has_one_server_span_that_joins_its_callers_trace(spans: InMemorySpanExporter) -> None:
    async with harness() as server:
        await server.call(("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"))
    (span,) = named(spans)
    assert span.name == METHOD[1:]
    context = span.get_span_context()
    assert context is not None
    assert trace.format_trace_id(context.trace_id) == TRACE
    assert span.parent is not None
    assert trace.format_span_id(span.parent.span_id) == "b7ad6b7169203331"
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {})["rpc.grpc.status_code"] == 0


@pytest.mark.parametrize(
    ("failure", "code", "status"),
    [
        (RuntimeError("x"), 13, StatusCode.ERROR),
        (BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND), 5, StatusCode.UNSET),
        (BabySeaError(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE), 14, StatusCode.ERROR),
    ],
)
async def test_a_span_is_an_error_for_our_faults_only_and_never_has_exception_events(
    failure: Exception, code: int, status: StatusCode, spans: InMemorySpanExporter
) -> None:
    async with harness() as server:

        async def fail() -> None:
            raise failure

        server.script.behave = fail
        with pytest.raises(grpc.aio.AioRpcError):
            await server.call()
    (span,) = named(spans)
    assert span.status.status_code is status
    assert dict(span.attributes or {})["rpc.grpc.status_code"] == code
    assert span.events == ()


async def test_a_call_writes_one_line_that_holds_no_credential_and_no_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = (
        ("x-babysea-service", SERVICE),
        ("x-babysea-request-id", "req_abc"),
        ("x-babysea-client-address", "192.0.2.99"),
    )
    with caplog.at_level(logging.INFO):
        async with harness() as server:
            await server.call(*gateway)
    (record,) = [record for record in caplog.records if record.name == "babysea.requests"]
    facts = record.facts  # type: ignore[attr-defined]
    assert facts.pop("millis") >= 0
    assert facts == {
        "method": METHOD,
        "code": "OK",
        "request_id": "req_abc",
        "address": "0123456789ab",
        "account_id": "00000000-0000-0000-0000-000000000001",
        "key_id": "00000000-0000-0000-0000-000000000002",
    }


@pytest.mark.parametrize("request_id", ["a b", "x" * 65, 'req_"}', ""])
async def test_a_request_id_that_could_spoil_the_log_is_left_out(
    request_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with harness() as server:
            await server.call(("x-babysea-service", SERVICE), ("x-babysea-request-id", request_id))
            await server.call(("x-babysea-request-id", "req_claimed"))
    lines = [record for record in caplog.records if record.name == "babysea.requests"]
    assert [line.facts["request_id"] for line in lines] == ["", ""]  # type: ignore[attr-defined]


async def test_calls_are_counted_by_method_and_code() -> None:
    async with harness() as server:
        await server.call()
        await server.call()
        with pytest.raises(grpc.aio.AioRpcError):
            await server.keys.GetCallerKey(pb.GetCallerKeyRequest())
        [_ async for _ in server.read()]
        figures = server.metrics.snapshot()
    assert figures.calls == {
        (METHOD, "OK"): 2,
        (METHOD, "UNAUTHENTICATED"): 1,
        ("/babysea.generation.v1.FileService/ReadFile", "OK"): 1,
    }
    assert figures.latency[METHOD].count == sum(figures.latency[METHOD].buckets) == 3


async def test_probes_need_no_credential_mind_no_garbage_and_leave_no_trace(
    spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    garbage = (("authorization", "Bearer garbage"),)
    with caplog.at_level(logging.INFO):
        async with harness() as server:
            stub = health_stub(server.channel)
            for metadata in ((), garbage):
                answer = await stub.Check(health_pb2.HealthCheckRequest(), metadata=metadata)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
            assert failed.value.code() is grpc.StatusCode.NOT_FOUND
            assert server.metrics.snapshot().calls == {}
    assert named(spans) == []
    assert [record for record in caplog.records if record.name == "babysea.requests"] == []


async def test_reflection_lists_services_and_describes_them() -> None:
    async with harness() as server:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(server.channel)  # type: ignore[arg-type]
        requests = iter(
            [
                reflection_pb2.ServerReflectionRequest(list_services=""),
                reflection_pb2.ServerReflectionRequest(file_containing_symbol="babysea.keys.v1.KeyService"),
            ]
        )
        listed, described = [answer async for answer in stub.ServerReflectionInfo(requests)]
    assert [service.name for service in listed.list_services_response.service] == [
        "babysea.keys.v1.KeyService"
    ]
    assert described.file_descriptor_response.file_descriptor_proto


async def test_watchers_of_health_hear_the_end_of_it_instead_of_holding_up_the_drain() -> None:
    async with harness() as server:
        stub = health_stub(server.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        await server.chain.end_watches()
        assert await watch.read() is grpc.aio.EOF
        assert await watch.code() is grpc.StatusCode.OK
