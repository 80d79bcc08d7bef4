"""Whatever is killed, the stack comes back, and no generation is lost or paid for twice."""

import json
import os
import signal
import subprocess
import sys

import pytest

from cli.ledger_entries import entries_of, kind
from cli.running import find
from tests.e2e.conftest import REGIONS, Stack, kill, processes_of, until

pytestmark = pytest.mark.timeout(240)


def _ledger_words(stack: Stack, region: str, generation_id: str) -> list[str]:
    running = find(stack.data_dir)
    with running.operator(running.region(region)) as operator:
        entries = entries_of(operator, stack.region(region)["account_id"], generation_id)
    return [kind(entry) for entry in entries]


def _state(stack: Stack, region: str, generation_id: str) -> str:
    return str(stack.record(region, generation_id)["generation_status"])


def test_killed_programs_are_started_again_by_the_supervisor(stack: Stack) -> None:
    before = stack.processes()
    kill(*before.values())
    until(lambda: set(stack.processes().values()).isdisjoint(before.values()) and stack.answers())
    assert stack.processes().keys() == before.keys()


def test_a_killed_database_is_started_again_and_its_region_serves_on(stack: Stack) -> None:
    before = stack.ready()
    killed = stack.database("us")
    kill(killed)
    until(lambda: stack.answers() and stack.database("us") != killed)
    assert stack.ready() == before


def test_a_generation_whose_server_and_worker_are_killed_ends_and_is_captured_once(stack: Stack) -> None:
    generation_id = stack.start_generation("us", "[[slow=4000]] a lighthouse")
    until(lambda: _state(stack, "us", generation_id) == "processing")
    programs = stack.processes()
    kill(programs["us server"], programs["us worker"])
    assert stack.up().returncode == 0
    until(lambda: stack.answers() and _state(stack, "us", generation_id) == "succeeded")
    assert _ledger_words(stack, "us", generation_id) == ["hold", "capture"]
    assert stack.audit_is_clean()


def test_up_heals_after_everything_was_killed_at_once(stack: Stack) -> None:
    before, balance = stack.ready(), stack.balance("eu")
    generation_id = stack.start_generation("eu", "[[slow=4000]] a lighthouse")
    until(lambda: _state(stack, "eu", generation_id) == "processing")
    kill(stack.supervisor(), *stack.processes().values(), *(stack.database(region) for region in REGIONS))
    done = stack.up()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "ready"
    after = stack.ready()
    for region in REGIONS:
        for fact in ("api", "grpc", "account_id", "api_key"):
            assert after["regions"][region][fact] == before["regions"][region][fact]
    until(lambda: _state(stack, "eu", generation_id) in {"succeeded", "failed"}, seconds=90)
    words = _ledger_words(stack, "eu", generation_id)
    if _state(stack, "eu", generation_id) == "succeeded":
        assert words == ["hold", "capture"]
        assert stack.balance("eu") == pytest.approx(balance - 0.005)
    else:
        assert words == ["hold", "release"]
        assert stack.balance("eu") == pytest.approx(balance)
    assert stack.audit_is_clean()


def test_nothing_outlives_a_killed_supervisor_but_the_databases_which_the_next_up_takes_over(
    stack: Stack,
) -> None:
    programs = list(stack.processes().values())
    databases = {region: stack.database(region) for region in REGIONS}
    kill(stack.supervisor())
    until(lambda: not set(programs) & set(processes_of(stack.data_dir)) and not any(map(_exists, programs)))
    assert stack.up().returncode == 0
    assert {region: stack.database(region) for region in REGIONS} == databases
    assert stack.answers()


def test_down_stops_everything_and_up_finds_the_data_again(stack: Stack) -> None:
    before, balance = stack.ready(), stack.balance("us")
    done = stack.run("down")
    assert (done.returncode, done.stdout) == (0, "Stopped.\n")
    assert processes_of(stack.data_dir) == []
    assert not (stack.data_dir / "ready.json").exists()
    again = stack.run("down")
    assert again.returncode == 0
    assert again.stdout.startswith("Nothing was running")
    assert stack.run("key", "list").returncode == 3
    assert stack.up().returncode == 0
    assert stack.ready()["regions"]["us"]["api_key"] == before["regions"]["us"]["api_key"]
    assert stack.balance("us") == balance


@pytest.mark.parametrize("moment", ["starting", "ready"])
def test_a_signal_stops_the_foreground_stack_in_order(stack: Stack, moment: str) -> None:
    assert stack.run("down").returncode == 0
    ports = ",".join(f"{region}={port}" for region, port in stack.ports.items())
    command = [sys.executable, "-P", "-m", "cli.main", "up", "--regions", ",".join(REGIONS), "--ports", ports]
    process = subprocess.Popen(
        [*command, "--data-dir", str(stack.data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        if moment == "ready":
            until(lambda: (stack.data_dir / "ready.json").exists())
        else:
            until(lambda: "gateway" in stack.processes())
        process.send_signal(signal.SIGINT if moment == "ready" else signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert ("Ctrl-C stops everything." in said) == (moment == "ready")
    assert processes_of(stack.data_dir) == []
    assert not (stack.data_dir / "ready.json").exists()


def test_down_also_clears_up_after_a_killed_supervisor(stack: Stack) -> None:
    kill(stack.supervisor())
    done = stack.run("down")
    assert done.returncode == 0, done.stderr
    assert processes_of(stack.data_dir) == []


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
