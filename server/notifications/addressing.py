"""Addressing: who a letter goes to at this moment, what it says, and whether anything speaks against it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from kit.errors import BabySeaError
from server.accounts.identity.addresses import email_hash as hash_of
from server.accounts.identity.addresses import normalised_email
from server.notifications import store
from server.notifications.catalog import TEMPLATES, Kind
from server.notifications.posting import LETTER_DATA, LETTER_TO
from server.notifications.rendering import UnknownTemplateError
from server.notifications.store import Claimed
from server.runtime.database import system_transaction
from server.runtime.encryption import DataKeyGoneError, Envelope

Consented = Callable[[AsyncConnection, UUID, str], Awaitable[bool]]
"""Whether a person consents to a purpose."""
MakeResetToken = Callable[[AsyncConnection, UUID], Awaitable[str]]
"""Makes a one-time token for a person's password reset, in the caller's transaction."""


_FRESH_RESET = timedelta(minutes=5)
"""So old a letter may be whose attempt sends the token of the one before; what is left of its half an hour is enough."""


class LostError(Exception):
    """The lease is over, and somebody else has the letter."""


class DroppedError(Exception):
    """The letter is not to be sent; its text is the reason, a word of ours."""

    def __init__(self, reason: str, *, state: str = "dropped") -> None:
        super().__init__(reason)
        self.state = state


@dataclass(frozen=True, slots=True)
class Addressed:
    """A letter that may be sent."""

    to: str
    email_hash: bytes
    person_id: UUID | None
    values: Mapping[str, str]
    can_be_turned_off: bool


async def nobody_consents(connection: AsyncConnection, person_id: UUID, purpose: str) -> bool:
    """Stands in where no record of consents is: nothing optional is sent."""
    return False


class Addressing:
    """Opens letters and finds whom they go to."""

    def __init__(
        self,
        engine: AsyncEngine,
        envelope: Envelope,
        *,
        consented: Consented,
        make_reset_token: MakeResetToken,
    ) -> None:
        self._engine = engine
        self._envelope = envelope
        self._consented = consented
        self._make_reset_token = make_reset_token

    async def address(self, letter: Claimed, now: datetime) -> Addressed:
        """Whom a letter goes to, and its values.

        Raises:
            DroppedError: nobody is there, it cannot be read any more, or the person or a suppression stops it.
            LostError: somebody else has the letter.
            UnknownTemplateError: this program does not know its template.
        """
        template = TEMPLATES.get(letter.template)
        if template is None:
            raise UnknownTemplateError(letter.template)
        async with system_transaction(self._engine) as connection:
            try:
                person_id, to = await self._recipient(connection, letter)
                data_ct, sealed_by = letter.data_ct, letter.sealed_by
                if data_ct is None or sealed_by is None or _is_stale_reset(letter, now):
                    data_ct, sealed_by = await self._write_reset(connection, letter, person_id)
                plain = await self._envelope.open(sealed_by, LETTER_DATA, letter.id, data_ct)
            except DataKeyGoneError as error:
                raise DroppedError("key_gone") from error
            email_hash = self._hash_of(to)
            suppressed, unwanted = await store.objections(connection, email_hash, person_id, letter.category)
            # Who complained about our news still has to hear that a password was changed.
            if suppressed and not (suppressed == "complaint" and template.kind is Kind.SECURITY):
                raise DroppedError(suppressed, state="suppressed")
            if unwanted and template.kind is not Kind.SECURITY:
                raise DroppedError("unwanted")
            if letter.optional is not None and not (
                person_id is not None and await self._consented(connection, person_id, letter.optional)
            ):
                raise DroppedError("no_consent")
        optional = letter.optional is not None or template.kind is not Kind.SECURITY
        return Addressed(to, email_hash, person_id, json.loads(plain), optional)

    def _hash_of(self, to: str) -> bytes:
        try:
            return hash_of(self._envelope, normalised_email(to))
        except BabySeaError as error:
            raise DroppedError("bad_address", state="failed") from error

    async def _recipient(self, connection: AsyncConnection, letter: Claimed) -> tuple[UUID | None, str]:
        if letter.to_ct is not None and letter.sealed_by is not None:
            sealed = await self._envelope.open(letter.sealed_by, LETTER_TO, letter.id, letter.to_ct)
            return letter.person_id, sealed.decode()
        found = await store.recipient(connection, letter.person_id, letter.email_hash)
        if found is None:
            raise DroppedError("nobody")
        person_id, email_ct = found
        return person_id, (await self._envelope.open(person_id, "person.email", person_id, email_ct)).decode()

    async def _write_reset(
        self, connection: AsyncConnection, letter: Claimed, person_id: UUID | None
    ) -> tuple[bytes, UUID]:
        """Makes the token of a reset and fixes it in the letter: attempts soon after send the same one."""
        if person_id is None:
            raise DroppedError("nobody")
        values = json.dumps({"token": await self._make_reset_token(connection, person_id)}).encode()
        data_ct = await self._envelope.seal(person_id, LETTER_DATA, letter.id, values)
        if not await store.settle_letter(connection, letter, person_id, data_ct):
            raise LostError
        return data_ct, person_id


def _is_stale_reset(letter: Claimed, now: datetime) -> bool:
    """Whether a token that an earlier attempt made may be over by now, as after an outage of the mail server."""
    return letter.email_hash is not None and now - letter.created_at > _FRESH_RESET
