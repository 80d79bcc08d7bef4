"""Whether somebody agreed: the one question that everything optional must ask before it does anything."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from server.privacy import store
from server.privacy.texts import purposes


async def consented(connection: AsyncConnection, person_id: UUID, purpose: str) -> bool:
    """Whether a person's newest choice about a purpose is a yes to a version that holds now.

    Ask it right before doing what needs the consent, not when planning it: a withdrawal counts from its commit on. It reads
    the database at every call.

    Args:
        connection: of babysea_worker, or of babysea_app in a transaction of that person. In any other transaction it sees
            no choice, and the answer is no.
        person_id: the person.
        purpose: name of a purpose in data/consents/consents.toml.

    Raises:
        LookupError: there is no such purpose, which is a fault of ours.
    """
    known = purposes().get(purpose)
    if known is None:
        raise LookupError(f"there is no consent purpose {purpose}")
    newest = await store.newest_choice(connection, person_id, purpose)
    return newest is not None and newest.granted and known.counts(newest.version, newest.now)
