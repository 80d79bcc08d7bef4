"""Secrets are made once, readable by nobody else, and go only to the programs that need them."""

import base64
import json
import os
import stat
from pathlib import Path

import pytest

from cli.errors import CliError
from cli.supervisor import environment
from cli.supervisor.environment import DatabaseUrls
from cli.supervisor.layout import Layout
from cli.supervisor.plan import Plan
from cli.supervisor.secrets import ROLES, ensure, read_token

PLAN = Plan(api={"us": 8080, "eu": 8081}, grpc={"us": 9000, "eu": 9001}, sandbox=8090)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout.at(tmp_path / "data")
    made.prepare(("us", "eu"))
    return made


def test_every_secret_file_is_for_its_owner_only(layout: Layout) -> None:
    ensure(layout.region("us"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in layout.region("us").secrets.iterdir()}
    names = ("master_key", "operator_token", "service_token", "passwords.json", "valkey_password")
    assert modes == dict.fromkeys(names, 0o600)
    assert stat.S_IMODE(layout.region("us").secrets.stat().st_mode) == 0o700


def test_secrets_are_made_once_and_differ_between_regions(layout: Layout) -> None:
    first = ensure(layout.region("us"))
    assert ensure(layout.region("us")) == first
    other = ensure(layout.region("eu"))
    assert other.master_key != first.master_key
    assert not set(other.passwords.values()) & set(first.passwords.values())
    assert len(base64.b64decode(first.master_key)) == 32
    assert sorted(first.passwords) == sorted(ROLES)


def test_a_lost_master_key_is_not_replaced_while_its_database_exists(layout: Layout) -> None:
    place = layout.region("us")
    ensure(place)
    place.postgres.mkdir()
    (place.postgres / "cluster.json").write_text("{}")
    (place.secrets / "master_key").unlink()
    with pytest.raises(
        CliError, match=r"master_key is gone while the database that it opens exists; restore it"
    ):
        ensure(place)


def test_damaged_passwords_end_in_a_sentence(layout: Layout) -> None:
    place = layout.region("us")
    ensure(place)
    (place.secrets / "passwords.json").write_text("{")
    with pytest.raises(CliError, match=r"passwords\.json is damaged; remove it"):
        ensure(place)


def test_a_role_that_is_new_gets_a_password_and_the_others_keep_theirs(layout: Layout) -> None:
    place = layout.region("us")
    made = ensure(place).passwords
    older = {role: password for role, password in made.items() if role != "babysea_logger"}
    (place.secrets / "passwords.json").write_text(json.dumps(older))
    newer = ensure(place).passwords
    assert {role: newer[role] for role in older} == older
    assert newer["babysea_logger"]
    assert ensure(place).passwords == newer


def test_secrets_do_not_show_in_their_representation(layout: Layout) -> None:
    made = ensure(layout.region("us"))
    shown = repr(made)
    assert made.master_key not in shown
    assert not any(password in shown for password in (*made.passwords.values(), made.valkey_password))


def test_an_operator_token_that_is_not_there_ends_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"Cannot read the operator token .*--data-dir\.$"):
        read_token(Layout.at(tmp_path).region("us"))


def test_the_gateway_and_the_sandbox_get_no_database_no_key_and_no_provider(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABYSEA_MASTER_KEY", "from the shell")
    monkeypatch.setenv("BABYSEA_DATABASE_URL", "postgresql://from.the.shell/x")
    gateway = environment.for_gateway(layout, PLAN)
    allowed = {"BABYSEA_MODE", "BABYSEA_TRACE_DIR", "BABYSEA_SUPERVISED"}
    allowed |= {f"BABYSEA_GATEWAY_{name}" for name in ("LISTEN", "UPSTREAMS", "SERVICE_TOKENS")}
    assert {name for name in gateway if name.startswith("BABYSEA_")} == allowed
    sandbox = environment.for_sandbox()
    assert {name for name in sandbox if name.startswith("BABYSEA_")} == {"BABYSEA_SUPERVISED"}


def test_a_region_s_programs_know_only_their_own_region(layout: Layout) -> None:
    secrets = {region: ensure(layout.region(region)) for region in ("us", "eu")}
    urls = DatabaseUrls(
        "postgresql://admin@us/babysea",
        "postgresql://admin@us/vault",
        {role: f"postgresql://{role}@us/babysea" for role in ROLES},
        {role: f"postgresql://{role}@us/vault" for role in ROLES},
    )
    server = environment.for_server(layout, PLAN, "us", secrets["us"], urls)
    worker = environment.for_worker(layout, PLAN, "us", secrets["us"], urls)
    for variables in (server, worker):
        text = "\n".join(variables.values())
        assert secrets["us"].master_key in text
        assert secrets["eu"].master_key not in text
        assert str(layout.region("eu").root) not in text
    assert "BABYSEA_ADMIN_DATABASE_URL" not in worker
    assert "BABYSEA_OPERATOR_TOKEN_FILE" not in worker


def test_settings_that_only_tune_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABYSEA_BCRYPT_COST", "4")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")
    variables = environment.inherited()
    assert variables["BABYSEA_BCRYPT_COST"] == "4"
    assert "HTTP_PROXY" not in variables


@pytest.mark.parametrize("place", ["file", "below"])
def test_a_folder_that_cannot_be_made_ends_in_a_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" if place == "file" else tmp_path / "file" / "below"
    with pytest.raises(
        CliError, match=r"^Cannot use .*; choose a folder that you may write to with --data-dir\.$"
    ):
        Layout.at(folder).prepare(("us",))


def test_only_the_way_to_the_database_is_open_to_other_users(layout: Layout) -> None:
    outer = 0o711 if os.geteuid() == 0 else 0o700
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (layout.root, layout.region("us").root)}
    assert set(modes.values()) == {outer}
    inner = (layout.logs, layout.traces, layout.region("us").storage)
    assert {stat.S_IMODE(path.stat().st_mode) for path in inner} == {0o700}
