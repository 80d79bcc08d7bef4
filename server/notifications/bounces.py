"""Bounces: an address that refuses our letters is left alone for a while, and its owner is told in the app."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.notifications import store
from server.notifications.posting import notify
from server.notifications.store import Claimed
from server.runtime.database import system_transaction

BOUNCE_DAYS = 7
"""So long an address that bounced is left alone: a full or moved mailbox must not cost somebody a password reset for good."""


async def note_bounce(
    engine: AsyncEngine,
    letter: Claimed,
    person_id: UUID | None,
    email_hash: bytes,
    now: datetime,
    error: str,
) -> bool:
    """Ends a letter whose address was refused, suppresses the address, and tells who can do something about it.

    Returns False, and changes nothing, when the letter is no longer ours.
    """
    async with system_transaction(engine) as connection:
        if not await store.finish_letter(connection, letter, "failed", error=error):
            return False
        await store.suppress(connection, email_hash, "bounce", now + timedelta(days=BOUNCE_DAYS))
        told = await _concerned(connection, letter, person_id)
        await notify(
            connection,
            account_id=letter.account_id,
            person_ids=[] if told is None else [told],
            category="account",
            kind="email.bounced",
            event_key=f"bounce:{letter.id}",
            data={"template": letter.template},
        )
    return True


async def record_bounce(engine: AsyncEngine, email_hash: bytes, reason: str, now: datetime) -> None:
    """Suppresses an address that a mail provider reported; only a `bounce` ends by itself.

    Args:
        engine: of babysea_worker.
        email_hash: keyed hash of the address.
        reason: bounce, complaint or manual.
        now: current time.
    """
    until = now + timedelta(days=BOUNCE_DAYS) if reason == "bounce" else None
    async with system_transaction(engine) as connection:
        await store.suppress(connection, email_hash, reason, until)


async def clear_suppression(engine: AsyncEngine, email_hash: bytes) -> bool:
    """Lets an address be written to again; False when nothing stopped it."""
    async with system_transaction(engine) as connection:
        return await store.clear_suppression(connection, email_hash)


async def _concerned(connection: AsyncConnection, letter: Claimed, person_id: UUID | None) -> UUID | None:
    if person_id is not None or letter.account_id is None:
        return person_id
    return await store.owner_of(connection, letter.account_id)
