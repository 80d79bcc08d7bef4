"""What goes wrong at the start ends in one sentence that says what to do, and leaves nothing behind."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Stack, babysea, new_folder, processes_of, remove_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    made = new_folder()
    yield made
    left = processes_of(made)
    remove_folder(made, made / "data")
    assert left == []


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        yield stranger.getsockname()[1]


def _sentence(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("babysea: ")]
    assert len(lines) == 1
    assert "Traceback" not in text
    return lines[0]


@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_a_taken_api_port(folder: Path, taken: int, detach: list[str]) -> None:
    ports = ("--regions", "us", "--ports", f"us={taken}")
    done = babysea("up", *detach, "--data-dir", str(folder / "data"), *ports)
    assert done.returncode == 1
    assert f"Port {taken} on 127.0.0.1" in _sentence(done.stderr)
    assert _sentence(done.stderr).endswith("choose another port with --ports us=PORT.")
    assert not (folder / "data" / "ready.json").exists()


def test_a_lost_master_key(stack: Stack) -> None:
    key = stack.data_dir / "us" / "secrets" / "master_key"
    assert stack.run("down").returncode == 0
    aside = key.rename(key.with_name("aside"))
    try:
        done = stack.up()
        assert done.returncode == 1
        assert "master_key is gone while the database that it opens exists; restore it" in _sentence(
            done.stderr
        )
        assert processes_of(stack.data_dir) == []
    finally:
        aside.rename(key)


def _migrate(url: str) -> subprocess.CompletedProcess[str]:
    return babysea("migrate", BABYSEA_ADMIN_DATABASE_URL=url, BABYSEA_VAULT_DATABASE_URL=url)


def test_a_database_that_does_not_exist(stack: Stack) -> None:
    done = _migrate(stack.region("us")["database_url"].rpartition("/")[0] + "/nothing")
    assert done.returncode == 1
    assert "There is no database “nothing”" in _sentence(done.stderr)
    assert "--create-databases" in done.stderr


def test_a_wrong_password(stack: Stack) -> None:
    done = _migrate(
        "postgresql://babysea_app:wrong-word@" + stack.region("us")["database_url"].rpartition("@")[2]
    )
    assert done.returncode == 1
    assert "refuses the user “babysea_app”" in _sentence(done.stderr)
    assert "wrong-word" not in done.stderr


def test_a_gateway_whose_port_is_taken(taken: int) -> None:
    done = babysea(
        "gateway",
        BABYSEA_GATEWAY_LISTEN=f"us=127.0.0.1:{taken}",
        BABYSEA_GATEWAY_UPSTREAMS="us=127.0.0.1:1",
    )
    assert done.returncode == 1
    assert str(taken) in _sentence(done.stderr)


def test_a_sandbox_whose_port_is_taken(taken: int) -> None:
    done = babysea("sandbox", "--port", str(taken))
    assert done.returncode == 1
    assert str(taken) in _sentence(done.stderr)
