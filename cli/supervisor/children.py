"""The programs that the supervisor runs: started, started again when they die, and stopped in order."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.errors import CliError
from cli.supervisor.processes import ProcessId, end, identify

_LOG_BYTES = 10 * 1024 * 1024
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_STEADY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """A program to run: its name for people, its command line, and its whole environment."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)


def next_pause(last_pause: float, ran_seconds: float) -> float:
    """Seconds to wait before a dead program is started again: 0.2 s doubling to 5 s, anew after a steady run."""
    if last_pause == 0 or ran_seconds >= _STEADY_SECONDS:
        return _FIRST_PAUSE
    return min(last_pause * 2, _LONGEST_PAUSE)


@dataclass
class Child:
    """One program, and the process that is running it now."""

    program: Program
    log: Path
    process: subprocess.Popen[bytes] | None = None
    identity: ProcessId | None = None
    started_at: float = 0.0
    pause: float = 0.0
    due_at: float | None = None
    """When it is to be started again; None while it runs."""
    deaths: int = 0

    def start(self) -> ProcessId:
        """Starts the process, in a session of its own: Ctrl-C reaches only the supervisor, which stops in order."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.program.command,
                # A pipe that nobody writes to: it ends when the supervisor does, and so does the program.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self.program.environment),
                start_new_session=True,
            )
        self.started_at = time.monotonic()
        self.due_at = None
        # A process that died already is still ours to wait for, so its number is not anybody else's yet.
        self.identity = identify(self.process.pid) or ProcessId(self.process.pid, "ended")
        return self.identity

    def is_running(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def last_words(self) -> str:
        """The last line of the log that was meant for people; empty when there is none."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 8192))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        prefix = "babysea: "
        return next((line.removeprefix(prefix) for line in reversed(lines) if line.startswith(prefix)), "")


class Children:
    """All programs of one stack; safe to use from threads."""

    def __init__(
        self, logs: Path, on_start: Callable[[str, ProcessId], None], tell: Callable[[str], None]
    ) -> None:
        self._logs = logs
        self._on_start = on_start
        self._tell = tell
        self._children: dict[str, Child] = {}
        self._lock = threading.RLock()
        self._stopping = False

    def run(self, program: Program) -> None:
        """Starts a program and keeps it running from now on."""
        log = self._logs / f"{program.name.replace(' ', '-')}.log"
        rotate(log)
        log.touch(mode=0o600)
        with self._lock:
            if self._stopping:
                return
            child = self._children[program.name] = Child(program, log)
            self._on_start(program.name, child.start())

    def tend(self) -> None:
        """Notices dead programs and starts again those whose pause is over; call it several times a second."""
        now = time.monotonic()
        with self._lock:
            if self._stopping:
                return
            for child in self._children.values():
                if child.due_at is None and not child.is_running():
                    child.deaths += 1
                    child.pause = next_pause(child.pause, now - child.started_at)
                    child.due_at = now + child.pause
                    self._tell(
                        f"The program “{child.program.name}” ended; starting it again in {child.pause:.1f} s."
                    )
                if child.due_at is not None and child.due_at <= now:
                    _close_stdin(child)
                    self._on_start(child.program.name, child.start())

    def check_alive(self, name: str, deaths: int = 2) -> None:
        """Raises once a program died `deaths` times while it should have been starting.

        Raises:
            CliError: the sentence has the program's own last words, or names its log.
        """
        with self._lock:
            child = self._children.get(name)
        if child is not None and child.deaths >= deaths:
            raise _died(child)

    def check_all_alive(self) -> None:
        """Raises unless every program runs and none died so far.

        Raises:
            CliError: as `check_alive`.
        """
        for name, child in list(self._children.items()):
            self.check_alive(name, deaths=1)
            if not child.is_running():
                raise _died(child)

    def log_of(self, name: str) -> Path:
        """Log file of a program."""
        return self._children[name].log

    def freeze(self) -> None:
        """Starts nothing any more."""
        with self._lock:
            self._stopping = True

    def stop(self, wanted: Callable[[str], bool], seconds: float) -> None:
        """Ends the programs whose names are wanted; those that still run after `seconds` are killed."""
        self.freeze()
        chosen = [child for name, child in self._children.items() if wanted(name)]
        end(_identities(chosen), seconds)
        for child in chosen:
            _close_stdin(child)
            if child.process is not None:
                child.process.wait()


def rotate(log: Path) -> None:
    """Puts a log of more than 10 MB aside, replacing the one put aside before."""
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))


def _died(child: Child) -> CliError:
    name, said = child.program.name, child.last_words()
    if said:
        return CliError(f"The program “{name}” could not start: {said}")
    return CliError(f"The program “{name}” ended while starting; read {child.log}.")


def _identities(children: Iterable[Child]) -> list[ProcessId]:
    return [child.identity for child in children if child.identity is not None and child.is_running()]


def _close_stdin(child: Child) -> None:
    if child.process is not None and child.process.stdin is not None:
        child.process.stdin.close()
