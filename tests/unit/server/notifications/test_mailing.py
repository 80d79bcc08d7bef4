"""Messages and the settings behind them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from server.notifications.mailing import compose, message_id
from server.notifications.rendering import Rendered
from server.notifications.smtp import smtp_server
from server.runtime.errors import StartError

LETTER = UUID(int=7)
AT = datetime(2026, 11, 22, tzinfo=UTC)


def _message(to: str, sender: str = "BabySea <post@mail.example>", unsubscribe: str | None = None) -> Any:
    rendered = Rendered("Hello", "Grüße", "<p>Grüße</p>")
    return compose(rendered, letter_id=LETTER, sender=sender, to=to, at=AT, unsubscribe=unsubscribe)


def test_a_letter_has_the_same_message_id_at_every_attempt() -> None:
    assert message_id(LETTER, "BabySea <post@mail.example>") == f"<{LETTER}@mail.example>"
    assert _message("a@b.example")["Message-ID"] == message_id(LETTER, "post@mail.example")


def test_a_message_says_who_wrote_it_and_where_to_turn_it_off() -> None:
    message = _message("a@b.example", unsubscribe="https://pages.example/notifications")
    assert message["From"].addresses[0].display_name == "BabySea"
    assert message["List-Unsubscribe"] == "<https://pages.example/notifications>"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_a_domain_is_written_as_name_servers_know_it() -> None:
    assert _message("ada@bücher.example")["To"] == "ada@xn--bcher-kva.example"


@pytest.mark.parametrize("to", ["", "nobody", "a@b.example, c@d.example", "a@b.example\r\nBcc: c@d.example"])
def test_what_is_not_one_address_gets_no_message(to: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        _message(to)


def test_a_mail_server_is_named_by_a_url() -> None:
    server = smtp_server("smtp://us%40er:p%2Fw@mail.example", production=False, ca_file=Path("ca.pem"))
    assert (server.host, server.port, server.username, server.password) == (
        "mail.example",
        587,
        "us@er",
        "p/w",
    )
    assert (server.implicit_tls, server.start_tls, server.ca_file) == (False, None, Path("ca.pem"))
    implicit = smtp_server("smtps://mail.example:4650", production=True)
    assert (implicit.port, implicit.implicit_tls, implicit.start_tls) == (4650, True, False)
    assert smtp_server("smtp://mail.example", production=True).start_tls is True


@pytest.mark.parametrize(
    "url", ["http://word.example", "smtp://", "word", "smtp://[word", "smtp://word:port"]
)
def test_what_is_no_such_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StartError, match="BABYSEA_SMTP_URL") as raised:
        smtp_server(url, production=False)
    assert "word" not in str(raised.value).replace("password", "")
