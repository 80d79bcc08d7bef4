"""The command line: every mistake ends in one sentence and the right exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import trace_tree
from cli.commands.credits import exact_micros
from cli.errors import CliError, Exit, explain
from cli.main import main, parser
from cli.supervisor import layout
from kit import settings, telemetry

COMMANDS = (
    *("up", "down", "demo", "generate", "trace", "account", "key", "credits", "ledger", "catalog", "doctor"),
    *("server", "gateway", "worker", "sandbox", "migrate"),
)


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own, without settings of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BABYSEA_")}
    command = [sys.executable, "-P", "-m", "cli.main", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=kept | variables, timeout=60, check=False
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_takes_the_common_options_after_its_name(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "--data-dir DIR" in text
    assert "--json" in text


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["up", "--regions", "us,mars"],
        ["up", "--regions", "us,us"],
        ["up", "--regions", ""],
        ["up", "--ports", "us"],
        ["up", "--ports", "us=0"],
        ["up", "--ports", "us=70000"],
        ["up", "--ports", "us=8080,us=8081"],
        ["up", "--workers", "-1"],
        ["up", "--workers", "65"],
        ["up", "--workers", "many"],
        ["up", "--servers", "0"],
        ["up", "--servers", "two"],
        ["server", "--processes", "many"],
        ["up", "--sandbox-port", "x"],
        ["up", "--det"],
        ["generate", "bfl/flux-schnell"],
        ["key"],
        ["key", "create"],
        ["key", "create", "--name", "x", "--preset", "read_only", "--scopes", "generation:read"],
        ["credits", "grant", "--amount", "1"],
        ["account", "create", "--name", "x", "--plan", "golden"],
        ["trace"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments)
    assert ended.value.code == Exit.USAGE
    assert "error: " in capsys.readouterr().err


def test_a_stack_without_workers_can_be_asked_for() -> None:
    assert parser().parse_args(["up", "--workers", "0"]).workers == 0


def test_common_options_count_before_and_after_the_command() -> None:
    before = parser().parse_args(["--data-dir", "/a", "--json", "down"])
    after = parser().parse_args(["down", "--data-dir", "/a", "--json"])
    assert (before.data_dir, before.json) == (after.data_dir, after.json) == (Path("/a"), True)


def test_the_data_folder_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABYSEA_DATA_DIR", "/somewhere")
    assert parser().parse_args(["down"]).data_dir == Path("/somewhere")
    monkeypatch.delenv("BABYSEA_DATA_DIR")
    assert parser().parse_args(["down"]).data_dir == Path(".babysea")


def test_what_is_repeated_to_save_an_import_is_the_same_as_its_original() -> None:
    assert layout.REGIONS == settings.REGIONS
    assert trace_tree.GENERATION_ATTRIBUTE == telemetry.GENERATION_ATTRIBUTE


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, cli.main; cli.main.parser().format_help(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(eval(done.stdout))
    assert not loaded & {"grpc", "httpx", "pydantic", "sqlalchemy", "fastapi", "asyncpg", "google.protobuf"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "bfl/flux-schnell", "a fox"],
        ["account", "create", "--name", "x"],
        ["key", "list"],
        ["credits", "grant", "--amount", "1", "--key", "k"],
        ["ledger", "audit"],
    ],
)
def test_without_a_running_stack_the_exit_code_is_3_and_the_sentence_says_how_to_start_one(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--data-dir", str(tmp_path)]) == Exit.UNREACHABLE
    said = capsys.readouterr().err
    assert (
        said
        == f"babysea: Nothing runs in {tmp_path}; start it with `babysea up`, or name its folder with --data-dir.\n"
    )


def test_down_is_fine_when_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down", "--data-dir", str(tmp_path / "none"), "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["stopped"] is False
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("text", "micros"), [("12.5", 12_500_000), ("0.000001", 1), ("1000", 1_000_000_000), ("1e2", 100_000_000)]
)
def test_amounts_are_exact(text: str, micros: int) -> None:
    assert exact_micros(text) == micros


@pytest.mark.parametrize("text", ["0", "-1", "abc", "", "NaN", "Infinity", "0.0000001", "1,5"])
def test_an_amount_that_is_none_is_wrong_usage(text: str) -> None:
    with pytest.raises(CliError, match="is not an amount of credits") as refused:
        exact_micros(text)
    assert refused.value.code == Exit.USAGE


ADMIN = "BABYSEA_ADMIN_DATABASE_URL"
VAULT = "BABYSEA_VAULT_DATABASE_URL"
NOWHERE = "postgresql://someone:hidden-word@127.0.0.1:1/babysea"


@pytest.mark.parametrize(
    ("variables", "code", "words"),
    [
        ({}, Exit.USAGE, f"{ADMIN} is not set"),
        ({ADMIN: "mysql://u:hidden-word@h/d"}, Exit.USAGE, f"{ADMIN} is not a URL of PostgreSQL"),
        ({ADMIN: "postgresql://u:hidden-word@h:port/d"}, Exit.USAGE, f"{ADMIN} is not a URL of PostgreSQL"),
        ({ADMIN: NOWHERE, VAULT: NOWHERE}, Exit.UNREACHABLE, "No PostgreSQL answers at 127.0.0.1:1"),
    ],
)
def test_migrate_says_in_one_sentence_what_is_wrong_with_a_database_url(
    variables: dict[str, str], code: Exit, words: str
) -> None:
    done = run("migrate", **variables)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"babysea: {words}")
    assert done.stderr.count("\n") == 1
    assert "hidden-word" not in done.stderr


@pytest.mark.parametrize("program", ["server", "worker", "gateway"])
def test_a_program_without_settings_names_the_first_one_that_it_misses(program: str) -> None:
    done = run(program)
    assert done.returncode == Exit.USAGE
    assert done.stderr.startswith("babysea: BABYSEA_")
    assert "is not set" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_setting_that_is_not_valid_is_named_without_its_value() -> None:
    done = run("gateway", BABYSEA_REGION="mars-and-secret")
    assert done.returncode == Exit.USAGE
    assert done.stderr.startswith("babysea: The setting BABYSEA_REGION is not valid")
    assert "mars-and-secret" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "processes"),
    [([], 1), (["--processes"], 0), (["--processes", "auto"], 0), (["--processes", "3"], 3)],
)
def test_a_server_is_one_process_unless_more_are_asked_for(arguments: list[str], processes: int) -> None:
    assert parser().parse_args(["server", *arguments]).processes == processes


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("up", "--detach", "--data-dir", str(tmp_path / "file" / "below"))
    assert done.returncode == Exit.FAILED
    assert done.stderr.splitlines()[-1].startswith("babysea: Cannot use ")
    assert "--data-dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_failure_shows_no_text_of_the_exception() -> None:
    failure = explain(RuntimeError("postgresql://u:hidden-word@h/d"))
    assert "hidden-word" not in failure.message
    assert "--debug" in failure.message


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = run("ledger", "audit", "--debug", "--data-dir", str(tmp_path))
    assert done.returncode == Exit.UNREACHABLE
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("babysea: Nothing runs in ")
