"""Token files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kit.settings import Settings
from server.runtime.service_identity import (
    OPERATOR_PREFIX,
    SERVICE_PREFIX,
    Identities,
    TokenFileError,
    load_identities,
    make_token,
    read_token,
)


def test_a_made_token_can_be_read_by_its_owner_alone_and_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "run" / "service.token"
    token = make_token(path, SERVICE_PREFIX)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token.startswith("svc_")
    assert make_token(path, SERVICE_PREFIX) == token == read_token(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["service.token"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o610])
def test_a_token_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "operator.token"
    make_token(path, OPERATOR_PREFIX)
    path.chmod(mode)
    with pytest.raises(TokenFileError, match="chmod 600"):
        read_token(path)


@pytest.mark.parametrize("content", ["", "short", "op_" + "a" * 20 + " " + "b" * 20])
def test_a_file_without_a_token_is_refused_without_showing_its_content(tmp_path: Path, content: str) -> None:
    path = tmp_path / "operator.token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(TokenFileError, match="does not hold a token") as refused:
        read_token(path)
    assert not content or content not in str(refused.value)


def test_an_absent_token_file_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings(service_token_file=tmp_path / "absent")
    with pytest.raises(TokenFileError, match="Cannot read the token file"):
        load_identities(settings)


def test_a_token_file_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TokenFileError, match="choose a folder"):
        make_token(tmp_path / "file" / "service.token", SERVICE_PREFIX)


def test_without_token_files_nobody_is_a_service_or_an_operator() -> None:
    nobody = load_identities(Settings())
    assert nobody == Identities()
    assert not nobody.is_service("")
    assert not nobody.is_operator("")


def test_only_the_right_token_of_the_right_kind_is_accepted() -> None:
    known = Identities(service_token="svc_a", operator_token="op_b")
    assert known.is_service("svc_a")
    assert known.is_operator("op_b")
    assert not known.is_service("op_b")
    assert not known.is_operator("svc_a")
    assert not known.is_operator("op_b\udcff")
