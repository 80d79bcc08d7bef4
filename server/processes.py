"""Several servers of one region on one machine: a process per port, and a small parent that keeps them running.

The parent never touches gRPC, and every process is a fresh interpreter: gRPC does not survive a fork, and one port shared
by several listeners would give one client's calls to one of them.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

from server.runtime.errors import StartError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_STEADY_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_END_SECONDS = 5.0
"""Given beyond the drain time to a process that ends, before it is killed."""

_LARGEST_PORT = 65_535
_log = logging.getLogger("babysea.processes")


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def addresses(listen: str, count: int) -> tuple[str, ...]:
    """The address of each process: the given port and the ones after it, or free ones where it is 0.

    Raises:
        StartError: the address is malformed, or a port cannot be had.
    """
    host, _, port = listen.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) + count - 1 > _LARGEST_PORT:
        raise StartError(
            f'The address "{listen}" is not host:port with {count} ports from there on; '
            "set BABYSEA_GRPC_LISTEN to one such as 127.0.0.1:50051."
        )
    wanted = [int(port) + number for number in range(count)] if int(port) else [0] * count
    # All are held at once, so that no two get the same free port.
    probes = [_probe(host.strip("[]"), number) for number in wanted]
    found = tuple(f"{host}:{probe.getsockname()[1]}" for probe in probes)
    for probe in probes:
        probe.close()
    return found


def next_pause(last_pause: float, ran_seconds: float) -> float:
    """Seconds before a dead process is started again: 0.2 s doubling to 5 s, anew after a steady run."""
    if last_pause == 0 or ran_seconds >= _STEADY_SECONDS:
        return _FIRST_PAUSE
    return min(last_pause * 2, _LONGEST_PAUSE)


@dataclass(slots=True)
class _Process:
    """One address, and the process that serves it now."""

    address: str
    command: tuple[str, ...]
    process: subprocess.Popen[bytes]
    started_at: float
    lives: int = 1
    pause: float = 0.0
    due_at: float | None = None
    """When it is to be started again; None while it runs."""


class Processes:
    """The processes of one parent."""

    def __init__(
        self,
        listens: Sequence[str],
        command: Callable[[str], Sequence[str]],
        environment: Mapping[str, str],
        drain_seconds: float,
    ) -> None:
        """Takes the addresses, the command line that serves one of them, and the environment of all.

        The program must end by itself when its standard input does, so that none outlives a parent that was killed.
        """
        self._listens = tuple(listens)
        self._command = command
        self._environment = dict(environment)
        self._drain_seconds = drain_seconds
        self._told = threading.Event()
        self._processes: list[_Process] = []

    def stop(self) -> None:
        """Makes `run` drain and return; safe in a signal handler."""
        self._told.set()

    def run(self) -> int:
        """Serves until `stop`, then drains every process at once.

        Returns:
            0 after an orderly end; the exit code of a process that could not even start the first time, which has said
            on standard error why.
        """
        try:
            for listen in self._listens:
                command = tuple(self._command(listen))
                self._processes.append(_Process(listen, command, self._begin(command), time.monotonic()))
            _log.info("serving", extra={"facts": {"addresses": ";".join(self._listens)}})
            while not self._told.wait(_LOOK_SECONDS):
                failed = self._tend()
                if failed:
                    return failed
            return 0
        finally:
            self._drain()

    def _begin(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C reaches only the parent, which tells the others once.
        return subprocess.Popen(command, stdin=subprocess.PIPE, env=self._environment, start_new_session=True)

    def _tend(self) -> int:
        now = time.monotonic()
        for one in self._processes:
            code = one.process.poll()
            if one.due_at is None and code is not None:
                ran = now - one.started_at
                if one.lives == 1 and code > 0 and ran < _STEADY_SECONDS:
                    # It refused to start, and would again: a setting is wrong or something is missing.
                    return code
                one.pause = next_pause(one.pause, ran)
                one.due_at = now + one.pause
                facts = {"address": one.address, "exit_code": code, "pause_seconds": one.pause}
                _log.warning("a process ended", extra={"facts": facts})
            if one.due_at is not None and one.due_at <= now:
                _close_input(one.process)
                one.process = self._begin(one.command)
                one.started_at, one.due_at, one.lives = now, None, one.lives + 1
        return 0

    def _drain(self) -> None:
        running = [one.process for one in self._processes if one.process.poll() is None]
        for process in running:
            process.terminate()
        ends = time.monotonic() + self._drain_seconds + _END_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for one in self._processes:
            _close_input(one.process)


def run(
    listens: Sequence[str],
    command: Callable[[str], Sequence[str]],
    environment: Mapping[str, str],
    drain_seconds: float,
) -> int:
    """Keeps one process per address until SIGTERM or SIGINT, then drains them all; see `Processes`."""
    processes = Processes(listens, command, environment, drain_seconds)

    def told(number: int, frame: FrameType | None) -> None:
        processes.stop()

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return processes.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _probe(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    probe = socket.socket(family, socket.SOCK_STREAM)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((host, port))
    except OSError as error:
        probe.close()
        raise StartError(
            f"Cannot listen on {host}:{port}; another program may use the port: stop it, or choose another first port."
        ) from error
    return probe


def _close_input(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
