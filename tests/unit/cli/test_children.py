"""Programs run under the supervisor: started again when they die, stopped when asked, ended when it is gone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.errors import CliError
from cli.supervisor.children import Children, Program, next_pause, rotate
from cli.supervisor.processes import ProcessId, identify, is_alive

STAY = "import time; time.sleep(60)"


def _until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Watched:
    """Children, and every start that they reported."""

    def __init__(self, logs: Path) -> None:
        self.starts: list[tuple[str, ProcessId]] = []
        self.told: list[str] = []
        self.children = Children(logs, lambda *start: self.starts.append(start), self.told.append)

    def run(self, name: str, code: str) -> None:
        self.children.run(Program(name, (sys.executable, "-c", code), {}))

    def tend_until(self, condition: Callable[[], bool]) -> None:
        def look() -> bool:
            self.children.tend()
            return condition()

        _until(look)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.children.stop(lambda name: True, 0.0)


def test_the_pause_doubles_up_to_five_seconds_and_starts_anew_after_a_steady_run() -> None:
    pauses = [0.0]
    for _ in range(7):
        pauses.append(next_pause(pauses[-1], ran_seconds=0.1))
    assert pauses[1:] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert next_pause(5.0, ran_seconds=60.0) == pytest.approx(0.2)


def test_a_killed_program_is_started_again(watched: Watched) -> None:
    watched.run("us server", STAY)
    first = watched.starts[0][1]
    os.kill(first.pid, signal.SIGKILL)
    watched.tend_until(lambda: len(watched.starts) == 2)
    name, second = watched.starts[1]
    assert name == "us server"
    assert second != first
    assert is_alive(second)
    assert watched.told == ["The program “us server” ended; starting it again in 0.2 s."]


def test_a_program_that_cannot_start_ends_the_start_with_its_own_last_words(watched: Watched) -> None:
    watched.run("gateway", "import sys; sys.exit('babysea: Port 80 is taken; choose another.')")

    watched.tend_until(lambda: len(watched.told) == 2)
    with pytest.raises(CliError) as died:
        watched.children.check_alive("gateway")
    assert died.value.message == "The program “gateway” could not start: Port 80 is taken; choose another."


def test_one_dead_program_is_enough_to_say_that_not_all_run(watched: Watched) -> None:
    watched.run("us worker", "raise SystemExit(3)")
    watched.run("us server", STAY)
    _until(lambda: not is_alive(watched.starts[0][1]))
    with pytest.raises(CliError, match=r"“us worker” ended while starting; read .*us-worker\.log"):
        watched.children.check_all_alive()


def test_stopping_ends_only_the_wanted_programs_and_starts_none_again(watched: Watched) -> None:
    watched.run("gateway", STAY)
    watched.run("us server", STAY)
    watched.children.stop(lambda name: name == "gateway", 5.0)
    watched.children.tend()
    (_, gateway), (_, server) = watched.starts
    assert not is_alive(gateway)
    assert is_alive(server)
    assert len(watched.starts) == 2


def test_a_program_gets_no_terminal_and_a_session_of_its_own(watched: Watched, tmp_path: Path) -> None:
    watched.run("x", "import os; print(os.isatty(0), os.getsid(0) == os.getpid(), flush=True); " + STAY)
    log = tmp_path / "x.log"
    _until(lambda: log.read_text() != "")
    assert log.read_text() == "False True\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_program_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    program = (
        "from cli.commands.programs import _end_with_supervisor as e; e(); print('up', flush=True); " + STAY
    )
    supervisor = (
        "import sys, time; from pathlib import Path; from cli.supervisor.children import Children, Program\n"
        f"run = Program('x', (sys.executable, '-c', {program!r}), {{'BABYSEA_SUPERVISED': '1'}})\n"
        f"children = Children(Path({str(tmp_path)!r}), lambda name, process: print(process.pid, flush=True), print)\n"
        "children.run(run); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", supervisor], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        child = identify(int(process.stdout.readline()))
    assert child is not None
    _until(lambda: "up" in (tmp_path / "x.log").read_text())
    process.kill()
    process.wait()
    _until(lambda: not is_alive(child))


def test_a_long_log_is_put_aside_at_the_next_start(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    log.write_bytes(b"x" * (10 * 1024 * 1024 + 1))
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "gateway.log.1").stat().st_size > 10 * 1024 * 1024
    log.write_text("short")
    rotate(log)
    assert log.read_text() == "short"
