"""Starting and stopping a stack from outside: in the foreground, in the background, and ending it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Literal

from cli.errors import CliError, Exit
from cli.supervisor import environment
from cli.supervisor.children import rotate
from cli.supervisor.files import read_json
from cli.supervisor.layout import Layout
from cli.supervisor.lock import Lock, holder
from cli.supervisor.options import UpOptions
from cli.supervisor.processes import end, send, wait_for_end

Outcome = Literal["ready", "already"]
_PATIENCE_SECONDS = 120.0
_STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Started:
    """A stack that answers: whether it was started now or ran before, and in how many seconds."""

    outcome: Outcome
    seconds: float


def run(
    layout: Layout,
    options: UpOptions,
    on_ready: Callable[[Started], None],
    tell: Callable[[str], None],
) -> None:
    """Runs a stack in this process until SIGTERM or SIGINT; returns at once if it runs in another one.

    Raises:
        CliError, EmbeddedPostgresError: one sentence; everything that was started is stopped again.
    """
    from cli.supervisor.region import Stopped
    from cli.supervisor.stack import Stack

    began = time.monotonic()
    layout.prepare(options.regions)
    lock = _take_or_wait(layout, options)
    if lock is None:
        on_ready(Started("already", time.monotonic() - began))
        return
    with lock:
        stop = threading.Event()
        _stop_on_signals(stop)
        stack = Stack(layout, options, stop, tell)
        try:
            stack.start()
            on_ready(Started("ready", time.monotonic() - began))
            stack.watch()
        except Stopped:
            pass
        finally:
            stack.close()


def run_detached(layout: Layout, options: UpOptions) -> Started:
    """Starts a supervisor in a session of its own and returns when everything answers.

    Raises:
        CliError: the supervisor's own sentence.
    """
    layout.prepare(options.regions)
    log = layout.logs / "supervisor.log"
    rotate(log)
    log.touch(mode=0o600)
    reader, writer = os.pipe()
    arguments = ["up", "--data-dir", str(layout.root), "--report-fd", str(writer), *options.arguments()]
    with log.open("ab") as output, os.fdopen(reader, "rb") as report:
        try:
            process = subprocess.Popen(
                environment.command(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[writer],
                start_new_session=True,
            )
        finally:
            os.close(writer)
        try:
            # Ends with the line below, or empty when the supervisor died without one.
            text = report.readline()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
    answer = json.loads(text) if text else {}
    if "outcome" in answer:
        return Started(answer["outcome"], answer["seconds"])
    process.wait()
    raise CliError(
        answer.get("failed", f"The supervisor ended while it was starting; read {log}."),
        Exit(answer.get("code", Exit.FAILED)),
    )


def down(layout: Layout) -> bool:
    """Stops what `up` started in a data folder, whoever it was, and says whether anything ran.

    Raises:
        CliError: it did not end in time.
    """
    from cli.supervisor.stack import stop_leftovers

    if not layout.root.is_dir():
        return False
    ran = False
    asked = None
    deadline = time.monotonic() + _STOP_SECONDS
    while True:
        if (lock := Lock.try_take(layout)) is not None:
            with lock:
                if asked is not None:
                    # It gave the lock back as its last act; nobody who looks for it afterwards may find it.
                    wait_for_end([asked], 5.0)
                return stop_leftovers(layout) or ran
        supervisor = holder(layout)
        if supervisor is not None and supervisor != asked:
            ran, asked = True, supervisor
            send(supervisor, signal.SIGTERM)
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    if asked is not None:
        # It had its time; what it leaves behind is stopped as after a crash.
        end([asked], 0.0)
    if (lock := Lock.try_take(layout)) is None:
        raise CliError(f"Another process keeps {layout.lock} locked; end it, then run `babysea down` again.")
    with lock:
        stop_leftovers(layout)
    return True


def _take_or_wait(layout: Layout, options: UpOptions) -> Lock | None:
    """The lock, or None once the stack of its holder answers."""
    from cli.supervisor.readiness import all_answer

    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (lock := Lock.try_take(layout)) is None:
        facts = read_json(layout.ready)
        if facts:
            _must_be_same(layout, facts, options)
            if all_answer(facts):
                return None
        if time.monotonic() > deadline:
            raise CliError(
                f"BabySea runs in {layout.root} but does not answer; read the logs in {layout.logs}, "
                "or run `babysea down` and start again."
            )
        time.sleep(0.1)
    return lock


def _must_be_same(layout: Layout, facts: dict[str, object], options: UpOptions) -> None:
    regions = facts.get("regions")
    running = sorted(regions) if isinstance(regions, dict) else []
    if running != sorted(options.regions):
        raise CliError(
            f"BabySea already runs in {layout.root} with {', '.join(running)}; run `babysea down` first to change that, "
            "or name another folder with --data-dir."
        )


def _stop_on_signals(stop: threading.Event) -> None:
    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        # Unless started under nohup, the stack ends with its terminal.
        signal.signal(signal.SIGHUP, ask)
