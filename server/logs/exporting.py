"""Logs as files: JSON or CSV, page by page, so that a file of any size needs the memory of one page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from kit.clock import iso_millis
from server.logs.reading import Activity, Request
from server.logs.store import Place

Format = Literal["json", "csv"]
MOST_ROWS = 50_000
PAGE_ROWS = 1_000
# The wide forms count as the narrow ones where people write with them.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

RowT = TypeVar("RowT")
Cells = Mapping[str, str | int | bool | None]
Fetch = Callable[[Place | None, int], Awaitable[tuple[list[RowT], Place | None]]]
"""Gives a page after a place, of at most so many rows, and the place where the next one begins."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a file."""

    data: bytes
    rows: int
    """Rows in the file so far."""
    truncated: bool = False
    """Whether there are more rows than a file may have; known in the last piece."""


@dataclass(frozen=True, slots=True)
class Sheet(Generic[RowT]):
    """How rows of one kind are written."""

    name: str
    """Name of the list in JSON."""
    columns: Sequence[str]
    cells: Callable[[RowT], Cells]


async def exported(
    sheet: Sheet[RowT], file_format: Format, fetch: Fetch[RowT], most: int = MOST_ROWS
) -> AsyncIterator[Piece]:
    """A file, piece by piece, newest row first; at most `most` rows."""
    writer = _Json(sheet.name) if file_format == "json" else _Csv(sheet.columns)
    rows = 0
    place: Place | None = None
    data = writer.begin()
    while True:
        page, place = await fetch(place, min(PAGE_ROWS, most - rows))
        for row in page:
            data += writer.row(sheet.cells(row))
        rows += len(page)
        if place is None or rows >= most:
            break
        yield Piece(data.encode(), rows)
        data = ""
    truncated = place is not None
    yield Piece((data + writer.end(truncated)).encode(), rows, truncated)


class _Json:
    def __init__(self, name: str) -> None:
        self._name = name
        self._separator = ""

    def begin(self) -> str:
        return f'{{"{self._name}":['

    def row(self, cells: Cells) -> str:
        text = self._separator + "\n" + json.dumps(cells, ensure_ascii=False, separators=(",", ":"))
        self._separator = ","
        return text

    def end(self, truncated: bool) -> str:
        return f'\n],"truncated":{json.dumps(truncated)}}}\n'


class _Csv:
    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def begin(self) -> str:
        return _line(self._columns)

    def row(self, cells: Cells) -> str:
        return _line([_cell(cells[column]) for column in self._columns])

    def end(self, truncated: bool) -> str:
        return ""


def _line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _cell(value: str | int | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    # A spreadsheet would run it.
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _request_cells(row: Request) -> Cells:
    key = row.key
    return {
        "log_id": str(row.id),
        "at": iso_millis(row.at),
        "surface": row.surface,
        "method": row.method,
        "route": row.route,
        "query": row.query,
        "status": row.status,
        "error_code": row.error_code or None,
        "millis": row.millis,
        "replayed": row.replayed,
        "key_id": None if key is None else str(key.id),
        "key_name": None if key is None else key.name,
        "key_prefix": None if key is None else key.prefix,
        "key_status": None if key is None else key.status,
        "person_id": None if row.person_id is None else str(row.person_id),
        "address_hash": row.address_hash,
        "user_agent": row.user_agent,
        "request_id": row.request_id or None,
    }


def _activity_cells(row: Activity) -> Cells:
    return {
        "event_id": str(row.id),
        "at": iso_millis(row.at),
        "actor": "system" if row.actor is None else str(row.actor),
        "category": row.category,
        "action": row.action,
        "description": row.description,
        "target_id": None if row.target is None else str(row.target),
    }


_REQUEST_COLUMNS = (
    *("log_id", "at", "surface", "method", "route", "query", "status", "error_code", "millis", "replayed"),
    *(
        "key_id",
        "key_name",
        "key_prefix",
        "key_status",
        "person_id",
        "address_hash",
        "user_agent",
        "request_id",
    ),
)
_ACTIVITY_COLUMNS = ("event_id", "at", "actor", "category", "action", "description", "target_id")

REQUESTS = Sheet("requests", _REQUEST_COLUMNS, _request_cells)
ACTIVITY = Sheet("activity", _ACTIVITY_COLUMNS, _activity_cells)
