"""A whole region for attacks on it, and everything that it says to logs and traces meanwhile."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kit.logs import configure_logs
from tests.support.postgres import TestDatabase
from tests.support.stack import Customer, Stack, running_sandbox, running_stack


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """A sandbox for the whole run."""
    with running_sandbox() as url:
        yield url


@pytest.fixture
async def stack(database: TestDatabase, sandbox_url: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """A running region on the module's database."""
    async with running_stack(database, sandbox_url, tmp_path) as stack:
        yield stack


@pytest.fixture
async def customer(stack: Stack) -> Customer:
    """A customer with $100 and a full-access key."""
    return await stack.customer()


@dataclass(frozen=True)
class Said:
    """What the programs of this process said."""

    lines: io.StringIO
    spans: InMemorySpanExporter

    def everything(self) -> str:
        """Every log line, and every span with all of its attributes, events, links and status."""
        spans = [span.to_json() for span in self.spans.get_finished_spans()]
        return "\n".join([self.lines.getvalue(), *spans])


@pytest.fixture
def said(spans: InMemorySpanExporter) -> Iterator[Said]:
    """Listens to the logs as the programs write them at their most talkative, and to the traces."""
    root, lines = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in ("httpx", "httpcore")}
    configure_logs("debug")
    ours = root.handlers[0]
    assert isinstance(ours, logging.StreamHandler)
    ours.setStream(lines)
    try:
        yield Said(lines, spans)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in quiet.items():
            logging.getLogger(name).setLevel(before)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Everything that is traced, statements included, as in the programs."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # A process can set its provider once only; other tests of this process have theirs, or will.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    instrumentor = AsyncPGInstrumentor()  # type: ignore[no-untyped-call]
    instrumentor.instrument()
    try:
        yield exporter
    finally:
        instrumentor.uninstrument()
        provider.shutdown()
