"""Mailers: what hands a finished message over, what may go wrong with it, and the one that the settings name."""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Protocol
from uuid import UUID

from email_validator import validate_email

from server.notifications.rendering import Rendered


class Mailer(Protocol):
    """Hands messages over. Called outside of every transaction; may be called by several letters at a time."""

    async def send(self, message: EmailMessage, to: str) -> None:
        """Hands one message over for one address; when it returns, somebody else answers for it.

        Raises:
            DelayedError: not now, or nobody knows whether it was taken.
            RefusedError: never.
        """


class DelayedError(Exception):
    """A message was not taken, or nobody knows; it is tried again. Its text is a word of ours."""


class RefusedError(Exception):
    """A message will never be taken. Its text is a word of ours."""

    def __init__(self, kind: str, *, bounced: bool) -> None:
        super().__init__(kind)
        self.bounced = bounced
        """Whether the address itself was refused, so that no other message would be taken either."""


def message_id(letter_id: UUID, sender: str) -> str:
    """The Message-ID of a letter: the same at every attempt, so that whoever gets it twice can see that it is one."""
    return f"<{letter_id}@{parseaddr(sender)[1].rpartition('@')[2] or 'localhost'}>"


def _deliverable(address: str) -> str:
    """An address with its domain as name servers know it, so that every mail server takes it."""
    checked = validate_email(address, check_deliverability=False, test_environment=True)
    return f"{checked.local_part}@{checked.ascii_domain}"


def compose(
    rendered: Rendered, *, letter_id: UUID, sender: str, to: str, at: datetime, unsubscribe: str | None
) -> EmailMessage:
    """A message with a text and an HTML part.

    Args:
        rendered: what it says.
        letter_id: names it.
        sender: address, or name and address, that it comes from.
        to: address that it goes to.
        at: its date.
        unsubscribe: page where the person turns such letters off; None when that cannot be.

    Raises:
        ValueError: an address is none.
        IndexError: likewise; the parser of the sender's raises either.
    """
    message = EmailMessage(policy=SMTP)
    name, address = parseaddr(sender)
    message["From"] = Address(name, addr_spec=address)
    message["To"] = Address(addr_spec=_deliverable(to))
    message["Subject"] = rendered.subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = message_id(letter_id, sender)
    # No out-of-office note comes back, and no list software answers.
    message["Auto-Submitted"] = "auto-generated"
    if unsubscribe is not None:
        message["List-Unsubscribe"] = f"<{unsubscribe}>"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    return message
