"""Traces are kept in the region of their request, joined over processes, and never grow without bound."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kit import telemetry
from kit.telemetry import (
    REGION_ATTRIBUTE,
    LocalSpanExporter,
    context_of,
    joined_span,
    region_scope,
    traceparent,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[TracerProvider]:
    """A provider of this test alone, behind our own tracer."""
    provider = TracerProvider()
    monkeypatch.setattr(telemetry, "tracer", lambda: provider.get_tracer("babysea"))
    yield provider
    provider.shutdown()


def lines(folder: Path) -> dict[str, list[dict[str, object]]]:
    """The spans of each region."""
    return {
        region.name: [
            json.loads(line) for file in sorted(region.iterdir()) for line in file.read_text().splitlines()
        ]
        for region in sorted(folder.iterdir())
    }


def test_spans_go_to_the_folder_of_their_region_and_without_one_nowhere(
    provider: TracerProvider, tmp_path: Path
) -> None:
    provider.add_span_processor(telemetry._RegionStamp(""))
    provider.add_span_processor(SimpleSpanProcessor(LocalSpanExporter(tmp_path, "gateway")))
    for region in ("us", "eu"):
        with region_scope(region), telemetry.tracer().start_as_current_span(f"in {region}"):
            pass
    with telemetry.tracer().start_as_current_span("nowhere"):
        pass
    spans = lines(tmp_path)
    assert {region: [span["name"] for span in found] for region, found in spans.items()} == {
        "eu": ["in eu"],
        "us": ["in us"],
    }
    assert [file.name for file in (tmp_path / "us").iterdir()] == [f"gateway-{os.getpid()}.jsonl"]


def test_a_processes_own_region_wins_over_the_scope(provider: TracerProvider, tmp_path: Path) -> None:
    provider.add_span_processor(telemetry._RegionStamp("jp"))
    provider.add_span_processor(SimpleSpanProcessor(LocalSpanExporter(tmp_path, "server")))
    with region_scope("us"), telemetry.tracer().start_as_current_span("call"):
        pass
    assert list(lines(tmp_path)) == ["jp"]


def test_a_line_holds_ids_times_parent_and_attributes_but_no_exception_text(
    provider: TracerProvider, tmp_path: Path
) -> None:
    provider.add_span_processor(telemetry._RegionStamp("us"))
    provider.add_span_processor(SimpleSpanProcessor(LocalSpanExporter(tmp_path, "server")))
    with pytest.raises(ValueError, match="secret"), joined_span("work", PARENT, attributes={"n": 3}):
        raise ValueError("secret prompt")
    (span,) = lines(tmp_path)["us"]
    assert (span["trace_id"], span["parent_id"]) == (TRACE, "b7ad6b7169203331")
    assert (span["name"], span["service"], span["kind"], span["error"]) == (
        "work",
        "server",
        "internal",
        True,
    )
    assert span["attributes"] == {"n": 3, REGION_ATTRIBUTE: "us"}
    assert int(str(span["start_ns"])) <= int(str(span["end_ns"]))
    assert "secret" not in json.dumps(span)


def test_a_stored_traceparent_is_continued_and_an_empty_one_begins_a_trace(provider: TracerProvider) -> None:
    with joined_span("later", PARENT) as span:
        context = span.get_span_context()
        assert trace.format_trace_id(context.trace_id) == TRACE
        assert traceparent() == f"00-{TRACE}-{trace.format_span_id(context.span_id)}-01"
    with telemetry.tracer().start_as_current_span("outer"), joined_span("fresh", "") as fresh:
        assert isinstance(fresh, ReadableSpan)
        assert fresh.parent is None
    assert traceparent() == ""


@pytest.mark.parametrize(
    "header", ["", "nonsense", "00-0-0-00", f"00-{'0' * 32}-b7ad6b7169203331-01", PARENT + "-x" * 3]
)
def test_a_malformed_traceparent_is_no_parent(header: str) -> None:
    context = trace.get_current_span(context_of({"traceparent": header})).get_span_context()
    assert not context.is_valid


def test_other_headers_carry_no_context() -> None:
    assert (
        not trace.get_current_span(context_of({"TRACEPARENT": PARENT, "b3": PARENT}))
        .get_span_context()
        .is_valid
    )


def test_a_region_scope_ends_with_its_block(provider: TracerProvider) -> None:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(telemetry._RegionStamp(""))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with pytest.raises(RuntimeError), region_scope("us"), region_scope("eu"):
        raise RuntimeError
    with telemetry.tracer().start_as_current_span("after"):
        pass
    assert REGION_ATTRIBUTE not in (exporter.get_finished_spans()[0].attributes or {})


def test_a_full_file_is_kept_once_and_a_second_begins(
    provider: TracerProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "_MAX_FILE_BYTES", 2_000)
    provider.add_span_processor(telemetry._RegionStamp("us"))
    provider.add_span_processor(SimpleSpanProcessor(LocalSpanExporter(tmp_path, "server")))
    for n in range(100):
        with telemetry.tracer().start_as_current_span(f"span {n}"):
            pass
    files = sorted((tmp_path / "us").iterdir())
    assert [file.name for file in files] == [f"server-{os.getpid()}.1.jsonl", f"server-{os.getpid()}.jsonl"]
    assert all(file.stat().st_size < 3_000 for file in files)
    assert lines(tmp_path)["us"][-1]["name"] == "span 99"


def test_a_folder_that_cannot_be_written_fails_the_export_and_not_the_program(
    provider: TracerProvider, tmp_path: Path
) -> None:
    memory = InMemorySpanExporter()
    provider.add_span_processor(telemetry._RegionStamp("us"))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    with telemetry.tracer().start_as_current_span("span"):
        pass
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert (
        LocalSpanExporter(blocked, "server").export(memory.get_finished_spans()) is SpanExportResult.FAILURE
    )


def test_each_regions_spans_go_to_its_own_endpoint_only(provider: TracerProvider) -> None:
    memory = InMemorySpanExporter()
    provider.add_span_processor(telemetry._RegionStamp(""))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    for region in ("us", "eu", ""):
        with region_scope(region), telemetry.tracer().start_as_current_span(f"in {region}"):
            pass
    exporter = telemetry._PerRegionExporter("http://otel-{region}.example:4317")
    sinks: dict[str, SpanExporter] = {region: InMemorySpanExporter() for region in ("us", "eu", "jp")}
    exporter.exporters = sinks
    assert exporter.export(memory.get_finished_spans()) is SpanExportResult.SUCCESS
    received = {
        region: [span.name for span in sink.get_finished_spans()]
        for region, sink in sinks.items()
        if isinstance(sink, InMemorySpanExporter)
    }
    assert received == {"us": ["in us"], "eu": ["in eu"], "jp": []}
    exporter.shutdown()
