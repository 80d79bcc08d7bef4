"""Processes that can be found again later without ever mistaking a stranger for one of them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process: its number and a mark of its start, which a later process of the same number does not share."""

    pid: int
    started: str


def identify(pid: int) -> ProcessId | None:
    """The process that has this number now; None when there is none, or only a zombie."""
    started = _start_mark(pid)
    return None if started is None else ProcessId(pid, started)


def is_alive(process: ProcessId) -> bool:
    """Whether exactly this process still runs."""
    return _start_mark(process.pid) == process.started


def end(processes: Iterable[ProcessId], seconds: float) -> None:
    """Asks processes to end (SIGTERM), all at once, and kills those that still run after `seconds`."""
    alive = [process for process in processes if is_alive(process)]
    for process in alive:
        send(process, signal.SIGTERM)
    alive = wait_for_end(alive, seconds)
    for process in alive:
        send(process, signal.SIGKILL)
    wait_for_end(alive, 5.0)


def send(process: ProcessId, number: signal.Signals) -> None:
    """Sends a signal if exactly this process still runs."""
    if is_alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def wait_for_end(processes: list[ProcessId], seconds: float) -> list[ProcessId]:
    """Those of the processes that still run after `seconds`; returns as soon as none does."""
    deadline = time.monotonic() + seconds
    while (alive := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return alive


def _start_mark(pid: int) -> str | None:
    if pid <= 0:
        return None
    if (_PROC / "self" / "stat").exists():
        return _linux_start_mark(pid)
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"at:{process.create_time():.2f}"
    except psutil.Error:
        return None


def _linux_start_mark(pid: int) -> str | None:
    """Boot and clock ticks since it: unlike a time of day, these never move when the clock is set."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in parentheses may hold spaces and parentheses itself; the state follows the last one.
    fields = text.rpartition(")")[2].split()
    if not fields or fields[0] in {"Z", "X"}:
        return None
    return f"{_boot()}:{fields[19]}"


@cache
def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return "boot"
