"""How the command speaks: calm lines, small tables, a progress bar. Colours only on a terminal."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_FULL, _EMPTY = "━", "─"


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """The text in a style of `_STYLES` when the stream is a terminal that wants colours, else as it is."""
    out = stream or sys.stdout
    if not out.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def say(line: str = "") -> None:
    """Prints one line of result."""
    print(line, flush=True)


def note(line: str) -> None:
    """Prints one line about progress, on standard error so that results can be piped."""
    print(line, file=sys.stderr, flush=True)


def say_json(value: object) -> None:
    """Prints a result for machines."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str), flush=True)


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = (), indent: str = "") -> list[str]:
    """Rows as lines with aligned columns."""
    every = [list(header), *map(list, rows)] if header else [list(row) for row in rows]
    if not every:
        return []
    widths = [max(len(row[column]) for row in every) for column in range(len(every[0]))]
    lines = [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in every
    ]
    if header:
        lines[0] = styled(lines[0], "dim")
    return lines


def facts(values: Mapping[str, str], indent: str = "") -> list[str]:
    """Names and values as lines, the values aligned."""
    return table([(name, value) for name, value in values.items()], indent=indent)


def duration(seconds: float) -> str:
    """A time for people: "840 µs", "12.3 ms", "2.41 s"."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    return f"{seconds:.2f} s"


class Progress:
    """Shows the state of something whose length nobody knows: a bar on a terminal, else a line per state."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._quiet = quiet
        self._started = time.monotonic()
        self._state = ""

    def show(self, state: str, share: float) -> None:
        """Shows a state and how far along it probably is, from 0 to 1."""
        if self._quiet:
            return
        elapsed = time.monotonic() - self._started
        if self._live:
            width = max(10, min(30, shutil.get_terminal_size().columns - 40))
            full = round(width * min(max(share, 0.0), 1.0))
            bar = styled(_FULL * full, "cyan", self._stream) + _EMPTY * (width - full)
            self._stream.write(f"\r\x1b[K{bar} {state} {elapsed:.1f} s")
            self._stream.flush()
        elif state != self._state:
            self._stream.write(f"{state} after {elapsed:.1f} s\n")
            self._stream.flush()
        self._state = state

    def done(self) -> None:
        """Leaves the line."""
        if self._live and not self._quiet:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
