"""Traces of the embedded mode: found in their files, put together as trees, drawn as lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cli import render

GENERATION_ATTRIBUTE = "babysea.generation_id"
"""The same as kit.telemetry.GENERATION_ATTRIBUTE, which would cost an import of OpenTelemetry here."""


@dataclass
class Span:
    """One span and what happened inside it; times in Unix nanoseconds."""

    span_id: str
    parent_id: str | None
    name: str
    service: str
    start_ns: int
    end_ns: int
    error: bool
    attributes: dict[str, object]
    children: list[Span] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True)
class Trace:
    """All spans of one request, from the edge to settlement."""

    trace_id: str
    region: str
    roots: list[Span]
    count: int

    @property
    def seconds(self) -> float:
        """From the first start to the last end."""
        spans = [span for root in self.roots for span in walk(root)]
        return (max(span.end_ns for span in spans) - min(span.start_ns for span in spans)) / 1e9

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "trace_id": self.trace_id,
            "region": self.region,
            "spans": self.count,
            "seconds": round(self.seconds, 6),
            "roots": [_as_json(root) for root in self.roots],
        }


def walk(span: Span) -> Iterator[Span]:
    """The span and everything below it."""
    yield span
    for child in span.children:
        yield from walk(child)


def find_trace(folder: Path, generation_id: str) -> Trace | None:
    """The trace whose spans carry a generation's id; None when no file knows it.

    `folder` holds one folder per region, as kit.telemetry writes them; each region is read on its own.
    """
    for region in sorted(path for path in folder.glob("*") if path.is_dir()):
        files = sorted(region.glob("*.jsonl"))
        trace_id = next(
            (
                str(entry["trace_id"])
                for entry in _entries(files, generation_id)
                if _attributes(entry).get(GENERATION_ATTRIBUTE) == generation_id
            ),
            None,
        )
        if trace_id is not None:
            found = [entry for entry in _entries(files, trace_id) if entry.get("trace_id") == trace_id]
            return build(trace_id, region.name, found)
    return None


def build(trace_id: str, region: str, entries: Sequence[dict[str, object]]) -> Trace:
    """The tree of a trace's spans; a span whose parent is unknown (a client's, or lost) stands at the top."""
    spans = {span.span_id: span for span in map(_span, entries)}
    roots: list[Span] = []
    for span in sorted(spans.values(), key=lambda one: one.start_ns):
        parent = spans.get(span.parent_id) if span.parent_id else None
        (roots if parent is None or parent is span else parent.children).append(span)
    return Trace(trace_id, region, roots, len(spans))


def draw(trace: Trace) -> list[str]:
    """The tree as lines: name, service, duration, and when it began after the start of the trace."""
    began = min(root.start_ns for root in trace.roots)
    heading = f"trace {trace.trace_id}  region {trace.region}  {trace.count} spans  {render.duration(trace.seconds)}"
    rows: list[tuple[str, str, str, str]] = []
    for root in trace.roots:
        _rows(root, "", "", began, rows)
    return [render.styled(heading, "bold"), *render.table(rows)]


def _rows(span: Span, lead: str, below: str, began: int, rows: list[tuple[str, str, str, str]]) -> None:
    name = span.name + (" ✗" if span.error else "")
    offset = f"+{render.duration((span.start_ns - began) / 1e9)}"
    rows.append((lead + name, span.service, render.duration(span.seconds), offset))
    groups = _grouped(span.children)
    for index, group in enumerate(groups):
        last = index == len(groups) - 1
        branch, under = ("└─ ", "   ") if last else ("├─ ", "│  ")
        if len(group) == 1:
            _rows(group[0], below + branch, below + under, began, rows)
        else:
            total = sum(one.seconds for one in group)
            start = f"+{render.duration((group[0].start_ns - began) / 1e9)}"
            rows.append(
                (
                    f"{below}{branch}{group[0].name} ({len(group)} times)",
                    group[0].service,
                    render.duration(total),
                    start,
                )
            )


def _grouped(spans: Sequence[Span]) -> list[list[Span]]:
    """Neighbours of one name without anything below them, such as polls, share a line."""
    groups: list[list[Span]] = []
    for span in spans:
        before = groups[-1][-1] if groups else None
        alike = before is not None and (before.name, before.service) == (span.name, span.service)
        if (
            alike
            and before is not None
            and not (before.children or span.children or before.error or span.error)
        ):
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def _entries(files: Sequence[Path], needle: str) -> Iterator[dict[str, object]]:
    for path in files:
        try:
            with path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    if needle in line and (entry := _parsed(line)) is not None:
                        yield entry
        except FileNotFoundError:
            # Rotated away between the listing and the reading; its spans are in a file of the same list or gone.
            continue


def _parsed(line: str) -> dict[str, object] | None:
    """A line's span; None for a line that is being written right now."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "span_id" in value else None


def _attributes(entry: dict[str, object]) -> dict[str, object]:
    found = entry.get("attributes")
    return found if isinstance(found, dict) else {}


def _span(entry: dict[str, object]) -> Span:
    return Span(
        span_id=str(entry["span_id"]),
        parent_id=str(entry["parent_id"]) if entry.get("parent_id") else None,
        name=str(entry.get("name", "")),
        service=str(entry.get("service", "")),
        start_ns=int(str(entry.get("start_ns") or 0)),
        end_ns=int(str(entry.get("end_ns") or entry.get("start_ns") or 0)),
        error=entry.get("error") is True,
        attributes=_attributes(entry),
    )


def _as_json(span: Span) -> dict[str, object]:
    return {
        "name": span.name,
        "service": span.service,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "start_ns": span.start_ns,
        "seconds": round(span.seconds, 6),
        "error": span.error,
        "attributes": span.attributes,
        "children": [_as_json(child) for child in span.children],
    }
