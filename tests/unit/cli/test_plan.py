"""Which port each program gets: kept where possible, never stolen, never moved in silence."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.errors import CliError
from cli.main import parser
from cli.supervisor import environment, options
from cli.supervisor.layout import Layout
from cli.supervisor.options import UpOptions
from cli.supervisor.plan import make_plan
from cli.supervisor.ports import choose, claim, is_free
from cli.supervisor.state import State


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which a stranger listens."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        yield stranger.getsockname()[1]


@pytest.fixture
def free() -> int:
    return choose(None, set())


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state.json")


def test_a_port_is_free_until_somebody_listens_on_it(taken: int, free: int) -> None:
    assert is_free(free)
    assert not is_free(taken)


def test_a_remembered_port_is_kept_while_it_is_free(free: int, taken: int) -> None:
    assert choose(free, set()) == free
    assert choose(taken, set()) != taken
    assert choose(free, {free}) != free


def test_an_asked_port_that_is_taken_ends_in_a_sentence_with_port_and_flag(state: State, taken: int) -> None:
    wanted = UpOptions(regions=("us",), ports={"us": taken})
    with pytest.raises(CliError, match=rf"Port {taken} .*--ports us=PORT\.$"):
        make_plan(wanted, state)


def test_a_taken_sandbox_port_names_its_own_flag(state: State, taken: int) -> None:
    wanted = UpOptions(regions=("us",), free_ports=True, sandbox_port=taken)
    with pytest.raises(CliError, match=rf"Port {taken} .*--sandbox-port\.$"):
        make_plan(wanted, state)


def test_one_port_for_two_regions_is_refused(state: State, free: int) -> None:
    with pytest.raises(CliError, match=f"Port {free} is wanted twice"):
        make_plan(UpOptions(regions=("us", "eu"), ports={"us": free, "eu": free}), state)


def test_a_default_port_that_is_taken_is_not_replaced_in_silence(
    state: State, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(options.DEFAULT_PORTS, "us", taken)
    with pytest.raises(CliError, match=f"Port {taken} "):
        make_plan(UpOptions(regions=("us",)), state)


def test_auto_replaces_a_taken_port_and_the_next_start_keeps_the_new_one(
    state: State, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(options.DEFAULT_PORTS, "us", taken)
    first = make_plan(UpOptions(regions=("us",), free_ports=True), state)
    assert first.api["us"] != taken
    state.save()
    assert make_plan(UpOptions(regions=("us",)), State.load(state.path)) == first


def test_a_port_that_was_chosen_freely_moves_again_when_a_stranger_took_it(state: State, taken: int) -> None:
    state.ports |= {"us api": taken, "us grpc": taken, "sandbox": taken}
    plan = make_plan(UpOptions(regions=("us",)), state)
    assert taken not in {plan.api["us"], plan.grpc["us"], plan.sandbox}


def test_no_two_programs_get_the_same_port(state: State) -> None:
    plan = make_plan(UpOptions(free_ports=True), state)
    ports = [*plan.api.values(), *plan.grpc.values(), plan.sandbox]
    assert len(set(ports)) == len(ports) == 7


def test_an_asked_port_beats_the_remembered_one(state: State, free: int) -> None:
    state.ports["us api"] = choose(None, {free})
    assert make_plan(UpOptions(regions=("us",), ports={"us": free}), state).api["us"] == free


def test_claiming_a_free_port_reserves_it(free: int) -> None:
    used: set[int] = set()
    assert claim(free, "--x", used) == free
    assert used == {free}


def test_every_server_of_a_region_has_a_port_of_its_own_and_keeps_it(state: State) -> None:
    wanted = UpOptions(regions=("us", "eu"), free_ports=True, servers=3)
    plan = make_plan(wanted, state)
    addresses = plan.servers("us") + plan.servers("eu")
    assert len(set(addresses)) == len(addresses) == 6
    assert plan.servers("us")[0] == f"127.0.0.1:{plan.grpc['us']}"
    state.save()
    assert make_plan(wanted, State.load(state.path)) == plan


def test_the_gateway_is_told_of_every_server(state: State, tmp_path: Path) -> None:
    plan = make_plan(UpOptions(regions=("us", "eu"), free_ports=True, servers=2), state)
    upstreams = environment.for_gateway(Layout(tmp_path), plan)["BABYSEA_GATEWAY_UPSTREAMS"]
    assert upstreams == f"us={';'.join(plan.servers('us'))},eu={';'.join(plan.servers('eu'))}"


def test_the_supervisor_in_the_background_is_asked_for_the_same() -> None:
    wanted = UpOptions(("us",), {"us": 8081}, free_ports=True, workers=2, sandbox_port=8091, servers=3)
    asked = parser().parse_args(["up", *wanted.arguments()])
    ports, free = asked.ports
    assert UpOptions(asked.regions, ports, free, asked.workers, asked.sandbox_port, asked.servers) == wanted
