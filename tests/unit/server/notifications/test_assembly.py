"""What a worker sends with, from its settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from kit.settings import Settings
from server.notifications.assembly import open_mailer
from server.notifications.files import FileMailer
from server.notifications.smtp import SmtpMailer
from server.runtime.errors import StartError


def test_without_a_mail_server_a_laptop_writes_files_and_production_does_not_start(tmp_path: Path) -> None:
    assert isinstance(open_mailer(Settings(data_dir=tmp_path)), FileMailer)
    with pytest.raises(StartError, match="BABYSEA_SMTP_URL"):
        open_mailer(Settings(mode="production", data_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_mail_server_is_used_where_one_is_named() -> None:
    for url in ("smtp://mail.example", "smtps://user:word@mail.example"):
        assert isinstance(open_mailer(Settings(mode="production", smtp_url=SecretStr(url))), SmtpMailer)
    with pytest.raises(StartError) as raised:
        open_mailer(Settings(smtp_url=SecretStr("imap://word.example")))
    assert "word" not in str(raised.value).replace("password", "")
