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
from server.keys import store
from server.keys.hashing import KeyHasher
from server.keys.lifecycle import status
from server.keys.secrets import new_key
from server.keys.store import KeyRecord
from server.keys.verification import KeyVerifier
from server.runtime.database import tenant_transaction

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
) -> Rotation:
    """Makes a key with the name, scopes, allowlist and expiry of another, which works `grace_hours` longer at most.

    Raises:
        BabySeaError: NOT_FOUND when the account has no such key; CONFLICT when it is not active; SERVICE_UNAVAILABLE
            when too many keys are being hashed.
    """
    text = new_key(region)
    # Hashed before the transaction begins: bcrypt is slow, and a connection is dear.
    key_hash = await hasher.hash(text.secret)
    async with tenant_transaction(engine, account_id) as connection:
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
        until = now + timedelta(hours=grace_hours)
        rotated = await store.mark_rotated(connection, old, key.id, at=now, until=until)
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
