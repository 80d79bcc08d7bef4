"""The supervisor's memory survives a restart, damage and a crash."""

import json
import stat
from pathlib import Path

import pytest

from cli.supervisor.files import read_json, write_private
from cli.supervisor.processes import ProcessId
from cli.supervisor.state import State


def test_ports_and_processes_are_there_again_at_the_next_start(tmp_path: Path) -> None:
    state = State.load(tmp_path / "state.json")
    state.ports["us api"] = 8080
    state.fixed_ports = True
    state.remember_process("us server", ProcessId(12, "boot:34"))
    again = State.load(tmp_path / "state.json")
    assert (again.ports, again.fixed_ports) == ({"us api": 8080}, True)
    assert again.processes == {"us server": ProcessId(12, "boot:34")}


def test_forgetting_processes_keeps_the_ports(tmp_path: Path) -> None:
    state = State.load(tmp_path / "state.json")
    state.ports["sandbox"] = 8090
    state.remember_process("sandbox", ProcessId(1, "x"))
    state.forget_processes()
    again = State.load(tmp_path / "state.json")
    assert (again.ports, again.processes) == ({"sandbox": 8090}, {})


@pytest.mark.parametrize("damage", ["", "{", "[]", '"text"', '{"ports": 5, "processes": [1]}', "\xff"])
def test_a_damaged_file_counts_as_empty(tmp_path: Path, damage: str) -> None:
    (tmp_path / "state.json").write_text(damage, encoding="latin-1")
    state = State.load(tmp_path / "state.json")
    assert (state.ports, state.processes) == ({}, {})


def test_senseless_ports_and_processes_are_dropped(tmp_path: Path) -> None:
    known = {
        "ports": {"a": 80, "b": "81", "c": 0, "d": 70_000, "e": True},
        "processes": {"ok": {"pid": 3, "started": "x"}, "no": {"pid": "3"}, "none": None},
    }
    (tmp_path / "state.json").write_text(json.dumps(known))
    state = State.load(tmp_path / "state.json")
    assert (state.ports, list(state.processes)) == ({"a": 80}, ["ok"])


def test_private_files_are_replaced_whole_with_mode_0600(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_file_that_is_not_there_reads_as_empty(tmp_path: Path) -> None:
    assert read_json(tmp_path / "nothing.json") == {}
