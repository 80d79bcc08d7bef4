"""Sending by SMTP, one connection a message, and what the server's answers mean for a letter."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiosmtplib

from server.notifications.mailing import DelayedError, RefusedError
from server.runtime.errors import StartError

_PORTS = {"smtp": 587, "smtps": 465}
_SECONDS = 60.0
"""For one message in all; a lease of the queue lasts longer."""
_POLICY = re.compile(r"\b[45]\.7\.\d")


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where and how to hand messages over."""

    host: str
    port: int
    username: str | None
    password: str | None
    implicit_tls: bool
    start_tls: bool | None
    """Whether STARTTLS is a must; None uses it where it is offered."""
    ca_file: Path | None
    name: str
    """What we call ourselves; by default the machine would tell its own name."""


def smtp_server(
    url: str, *, production: bool, ca_file: Path | None = None, name: str = "localhost"
) -> SmtpServer:
    """The server that smtp://user:password@host:port or smtps://… names; production speaks in plaintext with none.

    Raises:
        StartError: it is no such URL; the message does not repeat it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise StartError("BABYSEA_SMTP_URL is not of the form smtp://user:password@host:587 or smtps://….")
    implicit = parts.scheme == "smtps"
    return SmtpServer(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        implicit_tls=implicit,
        start_tls=False if implicit else (True if production else None),
        ca_file=ca_file,
        name=name,
    )


class SmtpMailer:
    """Hands messages to one SMTP server."""

    def __init__(self, server: SmtpServer, *, seconds: float = _SECONDS) -> None:
        self._server = server
        self._seconds = seconds

    async def send(self, message: EmailMessage, to: str) -> None:
        """Hands one message over.

        Raises:
            DelayedError: the server is away, said 4xx, refused us rather than the message, or its answer was lost.
            RefusedError: the server said 5xx to the recipient or to the message.
        """
        taken = False
        try:
            async with asyncio.timeout(self._seconds), self._client() as client:
                await client.send_message(message, recipients=[to])
                taken = True
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            # What goes wrong while saying goodbye does not undo it.
            if not taken:
                raise _meaning(error) from error

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            local_hostname=server.name,
            use_tls=server.implicit_tls,
            start_tls=server.start_tls,
            cert_bundle=None if server.ca_file is None else str(server.ca_file),
            timeout=self._seconds,
        )


def _meaning(error: Exception) -> Exception:
    """What an answer, or the lack of one, means for a letter."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[refused, *_]):
            return _recipient_refused(refused)
        case aiosmtplib.SMTPRecipientRefused():
            return _recipient_refused(error)
        case aiosmtplib.SMTPNotSupported():
            return RefusedError("message_refused", bounced=False)
        case aiosmtplib.SMTPDataError():
            if error.code >= 500:
                return RefusedError("message_refused", bounced=False)
            return DelayedError("message_delayed")
        case aiosmtplib.SMTPAuthenticationError() | aiosmtplib.SMTPSenderRefused():
            # It is we who are refused, so the letter is not at fault: it waits until somebody has mended the settings.
            return DelayedError("sender_refused")
        case aiosmtplib.SMTPResponseException():
            return DelayedError("server_refused")
        case _:
            return DelayedError("connection")


def _recipient_refused(error: aiosmtplib.SMTPRecipientRefused) -> Exception:
    if error.code < 500:
        return DelayedError("recipient_delayed")
    # 5.7.x is a matter of policy: the server does not want it from us, which says nothing about the address.
    if _POLICY.search(error.message):
        return RefusedError("recipient_policy", bounced=False)
    return RefusedError("recipient_refused", bounced=True)
