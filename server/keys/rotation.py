"""Rotating a key: another one takes its place, and it goes on working for a while."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from babysea.common.v1 import error_reason_pb2
from babysea.keys.v1 import keys_pb2
from kit.clock import Clock
from kit.errors import BabySeaError
from kit.ids import uuid7
from server.accounts.holding import hold_right
from server.keys import store
from server.keys.hashing import KeyHasher
from server.keys.lifecycle import status
from server.keys.notices import KeyNotices
from server.keys.secrets import new_key
from server.keys.store import KeyRecord
from server.keys.verification import KeyVerifier
from server.logs.activity import note_activity
from server.runtime.database import tenant_transaction
from server.runtime.fault_points import Point, reach

GRACE_HOURS = 24
"""How long the old key works when nobody says otherwise (public contract, section 13)."""

_REFUSALS = {
    keys_pb2.KEY_STATUS_ROTATED: "The key was rotated already; rotate the one that took its place.",
    keys_pb2.KEY_STATUS_EXPIRED: "The key has expired; make a new one.",
    keys_pb2.KEY_STATUS_REVOKED: "The key was revoked; make a new one.",
}


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotated key, the one in its place, and that one's text, which cannot be read again."""

    rotated: KeyRecord
    key: KeyRecord
    secret: str = field(repr=False)


async def rotate_key(
    engine: AsyncEngine,
    hasher: KeyHasher,
    verifier: KeyVerifier,
    clock: Clock,
    region: str,
    *,
    account_id: UUID,
    key_id: UUID,
    grace_hours: int,
    actor: UUID | None = None,
    notices: KeyNotices | None = None,
) -> Rotation:
    """Makes a key with the name, scopes, allowlist and expiry of another, which works `grace_hours` longer at most.

    `actor` is the member who does it, and `notices` tells the account's owners.

    Raises:
        BabySeaError: NOT_FOUND when the account has no such key; CONFLICT when it is not active; SERVICE_UNAVAILABLE
            when too many keys are being hashed.
    """
    text = new_key(region)
    # Hashed before the transaction begins: bcrypt is slow, and a connection is dear.
    key_hash = await hasher.hash(text.secret)
    told = await notices.account(account_id) if notices is not None else None
    async with tenant_transaction(engine, account_id) as connection:
        if actor is not None:
            await hold_right(connection, account_id, actor, "keys.create")
        old = await _active_key(connection, account_id, key_id, now := clock.now())
        key = await store.insert_key(
            connection,
            key_id=uuid7(),
            account_id=account_id,
            public_id=text.public_id,
            key_hash=key_hash,
            name=old.name,
            scopes=old.scopes,
            allowlist=old.allowlist,
            expires_at=old.expires_at,
        )
        if key is None:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
        reach(Point.ROTATION_HALFWAY)
        until = now + timedelta(hours=grace_hours)
        rotated = await store.mark_rotated(connection, old, key.id, at=now, until=until)
        await note_activity(
            connection,
            account_id=account_id,
            actor=actor,
            category="api_key",
            action="rotated",
            target=key_id,
            details={"grace_hours": grace_hours, "replaced_by": str(key.id)},
        )
        if notices is not None:
            await notices.created(connection, told, key)
    reach(Point.ROTATION_COMMITTED)
    verifier.forget(rotated.public_id)
    return Rotation(rotated, key, text.whole())


async def _active_key(
    connection: AsyncConnection, account_id: UUID, key_id: UUID, now: datetime
) -> KeyRecord:
    # Locked, so that of two rotations at once the second finds the key rotated, and a revocation waits or wins.
    key = await store.lock_key(connection, account_id, key_id)
    if key is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND, "There is no key with this id.")
    refused = _REFUSALS.get(status(key, now))
    if refused is not None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_CONFLICT, refused)
    return key
