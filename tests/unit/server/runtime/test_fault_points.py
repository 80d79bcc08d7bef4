"""Fault points sleep unless they are named, and obey an order once, in a real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.settings import Settings
from server.runtime.errors import StartError
from server.runtime.fault_points import FOLDER, Point, arm, reach

_PROGRAM = """
import sys
from pathlib import Path
from kit.settings import Settings
from server.runtime.fault_points import Point, arm, reach
arm(Settings(fault_points=sys.argv[1], data_dir=Path(sys.argv[2])))
for number in range(3):
    print(number, flush=True)
    reach(Point.JOB_CLAIMED)
print("end", flush=True)
"""


@pytest.fixture(autouse=True)
def _asleep_again() -> Iterator[None]:
    yield
    arm(Settings())


def _started(tmp_path: Path, points: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _PROGRAM, points, str(tmp_path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _order(tmp_path: Path, text: str) -> Path:
    order = tmp_path / FOLDER / Point.JOB_CLAIMED.label
    order.parent.mkdir(exist_ok=True)
    order.write_text(text)
    return order


def _left(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / FOLDER).iterdir()]


@pytest.mark.parametrize(("order", "passed"), [("KILL", 1), ("KILL 1", 1), ("KILL 3", 3)])
def test_a_process_ends_by_sigkill_exactly_at_the_pass_that_it_was_ordered(
    tmp_path: Path, order: str, passed: int
) -> None:
    _order(tmp_path, order)
    process = _started(tmp_path, "job.claimed")
    said, _ = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert said.split() == [str(number) for number in range(passed)]
    assert _left(tmp_path) == [f"job.claimed.taken.{process.pid}"]


def test_an_order_is_obeyed_once_so_a_process_that_is_started_again_goes_on(tmp_path: Path) -> None:
    _order(tmp_path, "KILL")
    for expected in (-signal.SIGKILL, 0):
        process = _started(tmp_path, "all")
        process.communicate(timeout=30)
        assert process.returncode == expected


def test_a_process_that_is_ordered_to_stop_stands_still_until_it_is_told_to_continue(tmp_path: Path) -> None:
    _order(tmp_path, "STOP")
    process = _started(tmp_path, "all")
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert _left(tmp_path) == [f"job.claimed.taken.{process.pid}"]
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate(timeout=30)
    assert (process.returncode, said.split()[-1]) == (0, "end")


@pytest.mark.parametrize("points", ["", "attempt.begun"])
def test_a_point_that_is_not_named_ignores_orders(tmp_path: Path, points: str) -> None:
    order = _order(tmp_path, "KILL")
    arm(Settings(fault_points=points, data_dir=tmp_path))
    reach(Point.JOB_CLAIMED)
    assert order.exists()


def test_an_unknown_name_stops_the_start_with_a_sentence_that_says_which_there_are() -> None:
    with pytest.raises(StartError) as refused:
        arm(Settings(fault_points="job.claimed, nowhere"))
    assert "'nowhere'" in str(refused.value)
    assert "settlement.committed" in str(refused.value)


@pytest.mark.parametrize("program", ["main", "worker"])
def test_server_and_worker_of_production_do_not_start_with_fault_points(program: str) -> None:
    settings = "Settings(mode='production', fault_points='all')"
    source = f"from kit.settings import Settings; from server.{program} import run; run({settings})"
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "StartError: Production mode refuses fault points; empty BABYSEA_FAULT_POINTS."
    )


def test_every_point_has_a_name_of_its_own_and_lies_in_a_program() -> None:
    assert len({point.label for point in Point}) == len(Point)
    assert {point.process for point in Point} == {"server", "worker"}
