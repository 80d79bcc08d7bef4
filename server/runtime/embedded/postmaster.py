"""The running server as the operating system sees it: is the process named in postmaster.pid really ours?"""

import logging
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

log = logging.getLogger(__name__)

_ORPHAN_SECONDS = 5.0


@dataclass(frozen=True)
class Postmaster:
    """A live server of one data folder. `ready` is its own word that it accepts connections."""

    pid: int
    port: int
    ready: bool


def find(data: Path) -> Postmaster | None:
    """Return the live server of `data`, or None if its pid file is absent, half-written or stale."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return None
    if not _serves(pid, data):
        return None
    # Written line by line while it starts: pid, data, start time, port, socket folder, address, memory, state.
    port = int(lines[3]) if len(lines) > 3 and lines[3].strip().isdigit() else 0
    return Postmaster(pid, port, ready=len(lines) > 7 and lines[7].strip() == "ready")


def clear_after_crash(data: Path) -> None:
    """Make a crashed cluster startable: end what its dead server left behind and drop a misleading pid file.

    PostgreSQL clears its own stale file unless the number now belongs to another process of the same user or
    to a zombie that nobody reaps; then it would refuse to start for ever. Call only when `find` gave None.
    """
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    _end_orphans(data)
    try:
        pid = int(pid_file.read_text(encoding="utf-8", errors="replace").splitlines()[0])
    except (ValueError, IndexError):
        pid_file.unlink(missing_ok=True)
        return
    if psutil.pid_exists(pid):
        log.info("Dropped the stale postmaster.pid in %s: process %d is not its server.", data, pid)
        pid_file.unlink(missing_ok=True)


def kill(pid: int, data: Path) -> None:
    """End a server that does not listen any more, with its children, if it is still the server of `data`."""
    if _serves(pid, data):
        os.kill(pid, signal.SIGKILL)
    _end_orphans(data)


def _serves(pid: int, data: Path) -> bool:
    """Say whether `pid` is a PostgreSQL process of `data`: each of them works inside its data folder."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith("postgres"):
            return False
        return bool(os.path.realpath(process.cwd()) == os.path.realpath(data))
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
    except psutil.AccessDenied:
        # Not ours to look at, so it must not be declared dead: two servers on one folder would destroy it.
        return True


def _end_orphans(data: Path) -> None:
    """End server processes that outlived their postmaster; a busy one would block the next start."""
    orphans = [process for process in psutil.process_iter(["name"]) if _is_orphan(process, data)]
    for number in (signal.SIGQUIT, signal.SIGKILL):
        for process in orphans:
            _signal(process, number)
        # A zombie that nobody reaps counts as ended, which psutil's own wait would sit out.
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while (orphans := [process for process in orphans if _is_orphan(process, data)]) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.02)


def _is_orphan(process: psutil.Process, data: Path) -> bool:
    if not str(process.info["name"] or "").startswith("postgres"):
        return False
    try:
        running = process.status() != psutil.STATUS_ZOMBIE
        return bool(running and os.path.realpath(process.cwd()) == os.path.realpath(data))
    except psutil.Error:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        log.debug("Process %d ended by itself.", process.pid)
