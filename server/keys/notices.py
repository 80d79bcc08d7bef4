"""Telling an account's owners that a key was made or ended, by e-mail and in the app."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from kit.clock import Clock
from server.keys import store
from server.keys.lifecycle import refusal
from server.keys.secrets import shown_prefix
from server.keys.store import KeyRecord
from server.notifications.posting import Letter, notify, post_email, seal_letter
from server.runtime.database import tenant_transaction
from server.runtime.encryption import DecryptionError, Envelope

CREATED = "key.created"
REVOKED = "key.revoked"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """An account that somebody owns, as a letter names it."""

    id: UUID
    name: str | None
    """None where it cannot be read; then the app tells, and no letter."""


class KeyNotices:
    """Posts in the transaction of the fact, once per key, fact and owner."""

    def __init__(self, engine: AsyncEngine, envelope: Envelope, clock: Clock, region: str) -> None:
        self._engine = engine
        self._envelope = envelope
        self._clock = clock
        self._region = region

    async def account(self, account_id: UUID) -> Account | None:
        """Whom to name; None where nobody is to be told, as in an account that an operator made.

        Asked before the transaction of the fact, so that the data key is at hand in it.
        """
        async with tenant_transaction(self._engine, account_id) as connection:
            name_ct = await store.owned_name(connection, account_id)
        if name_ct is None:
            return None
        name = await self._envelope.open(account_id, "account.name", account_id, name_ct)
        return Account(account_id, name.decode())

    async def account_of_ending(self, account_id: UUID) -> Account | None:
        """As `account`, but without the vault there is no letter: nothing may keep a key from being ended."""
        try:
            return await self.account(account_id)
        except (DecryptionError, SQLAlchemyError, OSError):
            _log.warning("the end of a key is told without letters: the account's name cannot be read")
            return Account(account_id, None)

    async def created(self, connection: AsyncConnection, account: Account | None, key: KeyRecord) -> None:
        """Tells of a new key."""
        await self._tell(connection, CREATED, account, key)

    async def ended(self, connection: AsyncConnection, account: Account | None, key: KeyRecord) -> None:
        """Tells that a key was ended; `key` is as it was before, and one that did not work any more is no news."""
        if refusal(key, self._clock.now()) is None:
            await self._tell(connection, REVOKED, account, key)

    async def _tell(
        self, connection: AsyncConnection, template: str, account: Account | None, key: KeyRecord
    ) -> None:
        if account is None:
            return
        owners = await store.list_owners(connection, account.id)
        if account.name is not None:
            for owner in owners:
                await post_email(
                    connection, await self._letter(template, account.id, account.name, key, owner)
                )
        await notify(
            connection,
            account_id=account.id,
            person_ids=owners,
            category="api_key",
            kind=template,
            event_key=f"{template}:{key.id}",
            data={"key_id": str(key.id)},
        )

    async def _letter(
        self, template: str, account_id: UUID, name: str, key: KeyRecord, owner: UUID
    ) -> Letter:
        return await seal_letter(
            self._envelope,
            template=template,
            event_key=f"{template}:{key.id}:{owner}",
            data={
                "account": name,
                "key_name": key.name,
                "key_prefix": shown_prefix(self._region, key.public_id),
            },
            sealed_by=account_id,
            person_id=owner,
            account_id=account_id,
        )
