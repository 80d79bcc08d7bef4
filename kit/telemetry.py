"""Traces: one per request, from the gateway to settlement, kept in the region of the request."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

REGION_ATTRIBUTE = "babysea.region"
GENERATION_ATTRIBUTE = "babysea.generation_id"
_MAX_FILE_BYTES = 16 * 1024 * 1024
_PROPAGATOR = TraceContextTextMapPropagator()
_region: ContextVar[str] = ContextVar("babysea_region", default="")


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The tracer provider of this process."""

    provider: TracerProvider

    def shutdown(self) -> None:
        """Writes what is left and stops."""
        self.provider.shutdown()


def configure_telemetry(
    service: str,
    *,
    region: str = "",
    sample_ratio: float = 1.0,
    trace_dir: Path | None = None,
    otlp_endpoint: str = "",
) -> Telemetry:
    """Installs the tracer provider of this process.

    Args:
        service: name of the program, for example "gateway".
        region: region of the process; empty for the gateway, whose spans belong to the region of their request.
        sample_ratio: share of new traces that are recorded; a parent's decision is always followed.
        trace_dir: folder for local traces, one folder per region below it.
        otlp_endpoint: OTLP endpoint, in which "{region}" becomes the region of the request.
    """
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}),
        sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
    )
    provider.add_span_processor(_RegionStamp(region))
    if trace_dir is not None:
        exporter = LocalSpanExporter(trace_dir, service)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=300))
    if otlp_endpoint:
        provider.add_span_processor(
            BatchSpanProcessor(_PerRegionExporter(otlp_endpoint), schedule_delay_millis=1000)
        )
    trace.set_tracer_provider(provider)
    return Telemetry(provider)


def tracer() -> trace.Tracer:
    """The tracer of our own spans."""
    return trace.get_tracer("babysea")


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, str | int] | None = None,
    context: Context | None = None,
    links: Sequence[trace.Link] = (),
) -> Iterator[trace.Span]:
    """A span of ours. An exception marks it as failed and leaves no text in it: the text may hold a customer's data."""
    with tracer().start_as_current_span(
        name,
        context=context,
        kind=kind,
        attributes=attributes,
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except Exception:
            current.set_status(StatusCode.ERROR)
            raise


@contextmanager
def region_scope(region: str) -> Iterator[None]:
    """Stamps the spans begun inside with the region of their request."""
    token = _region.set(region)
    try:
        yield
    finally:
        _region.reset(token)


def traceparent() -> str:
    """The W3C traceparent of the current span; empty without one."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent", "")


def context_of(headers: Mapping[str, str]) -> Context:
    """The trace context that headers or metadata carry; an empty one when they carry none."""
    carrier = {key: value for key, value in headers.items() if key in {"traceparent", "tracestate"}}
    return _PROPAGATOR.extract(carrier, context=Context())


@contextmanager
def joined_span(
    name: str,
    parent: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, str | int] | None = None,
) -> Iterator[trace.Span]:
    """A span that continues a stored traceparent: how work done later joins the trace of its request."""
    context = context_of({"traceparent": parent} if parent else {})
    with span(name, context=context, kind=kind, attributes=attributes) as current:
        yield current


class _RegionStamp(SpanProcessor):
    """Gives every span the region of its process or, in the gateway, of its request."""

    def __init__(self, region: str) -> None:
        self.region = region

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Stamps the span."""
        region = self.region or _region.get()
        if region:
            span.set_attribute(REGION_ATTRIBUTE, region)


class LocalSpanExporter(SpanExporter):
    """Appends spans to <folder>/<region>/<service>-<pid>.jsonl; two files of 16 MB at most per process and region."""

    def __init__(self, folder: Path, service: str) -> None:
        self.folder = folder
        self.service = service

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Writes the spans to their regions' files; a span without a region is dropped."""
        by_region: dict[str, list[str]] = {}
        for span in spans:
            region = str((span.attributes or {}).get(REGION_ATTRIBUTE, ""))
            if region:
                by_region.setdefault(region, []).append(json.dumps(_as_json(span, self.service)) + "\n")
        try:
            for region, lines in by_region.items():
                self._append(self.folder / region, lines)
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def _append(self, folder: Path, lines: list[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.service}-{os.getpid()}.jsonl"
        if path.exists() and path.stat().st_size > _MAX_FILE_BYTES:
            path.replace(path.with_suffix(".1.jsonl"))
        with path.open("a") as file:
            file.writelines(lines)

    def shutdown(self) -> None:
        """Nothing is held open."""


class _PerRegionExporter(SpanExporter):
    """Sends each span to the OTLP endpoint of its own region, so that no span leaves it."""

    def __init__(self, template: str) -> None:
        self.template = template
        self.exporters: dict[str, SpanExporter] = {}

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Exports the spans region by region; a span without a region is dropped."""
        by_region: dict[str, list[ReadableSpan]] = {}
        for span in spans:
            by_region.setdefault(str((span.attributes or {}).get(REGION_ATTRIBUTE, "")), []).append(span)
        by_region.pop("", None)
        results = [self._exporter(region).export(batch) for region, batch in by_region.items()]
        failed = any(result is not SpanExportResult.SUCCESS for result in results)
        return SpanExportResult.FAILURE if failed else SpanExportResult.SUCCESS

    def _exporter(self, region: str) -> SpanExporter:
        # Imported here because it costs 0.2 s that most processes never need.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        if region not in self.exporters:
            endpoint = self.template.replace("{region}", region)
            self.exporters[region] = OTLPSpanExporter(
                endpoint=endpoint, insecure=endpoint.startswith("http://")
            )
        return self.exporters[region]

    def shutdown(self) -> None:
        """Stops every exporter."""
        for exporter in self.exporters.values():
            exporter.shutdown()


def _as_json(span: ReadableSpan, service: str) -> dict[str, object]:
    context = span.get_span_context()
    return {
        "trace_id": trace.format_trace_id(context.trace_id) if context else "",
        "span_id": trace.format_span_id(context.span_id) if context else "",
        "parent_id": trace.format_span_id(span.parent.span_id) if span.parent else None,
        "name": span.name,
        "kind": span.kind.name.lower(),
        "service": service,
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "error": span.status.status_code is StatusCode.ERROR,
        "attributes": dict(span.attributes or {}),
    }
