"""Making a key. The answer is the only place where its secret is ever shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.clock import Clock
from kit.errors import BabySeaError, invalid
from kit.ids import uuid7
from server.accounts.holding import hold_right
from server.keys import store
from server.keys.allowlist import normalised
from server.keys.hashing import KeyHasher
from server.keys.notices import KeyNotices
from server.keys.scopes import chosen_scopes
from server.keys.secrets import new_key
from server.keys.store import KeyRecord
from server.logs.activity import note_activity
from server.runtime.database import tenant_transaction
from server.runtime.names import checked_name


async def create_key(
    engine: AsyncEngine,
    hasher: KeyHasher,
    clock: Clock,
    region: str,
    *,
    account_id: UUID,
    name: str,
    preset: str,
    scopes: Sequence[str],
    allowlist: Sequence[str],
    expires_at: datetime | None,
    actor: UUID | None = None,
    notices: KeyNotices | None = None,
) -> tuple[KeyRecord, str]:
    """A new key of an account, and the key itself, which cannot be read again.

    `actor` is the member who makes it, and `notices` tells the account's owners.

    Raises:
        BabySeaError: INVALID_INPUT naming the field; ACCOUNT_NOT_FOUND; SERVICE_UNAVAILABLE when too many keys are
            being hashed.
    """
    name = checked_name("name", name)
    granted = chosen_scopes(preset, scopes)
    addresses = normalised(allowlist)
    if expires_at is not None and expires_at <= clock.now():
        raise invalid("expires_at", "expires_at must be in the future.")
    key = new_key(region)
    # Hashed before the transaction begins: bcrypt is slow, and a connection is dear.
    key_hash = await hasher.hash(key.secret)
    told = await notices.account(account_id) if notices is not None else None
    async with tenant_transaction(engine, account_id) as connection:
        if actor is not None:
            await hold_right(connection, account_id, actor, "keys.create")
        record = await store.insert_key(
            connection,
            key_id=uuid7(),
            account_id=account_id,
            public_id=key.public_id,
            key_hash=key_hash,
            name=name,
            scopes=granted,
            allowlist=addresses,
            expires_at=expires_at,
        )
        if record is None:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
        await note_activity(
            connection,
            account_id=account_id,
            actor=actor,
            category="api_key",
            action="created",
            target=record.id,
        )
        if notices is not None:
            await notices.created(connection, told, record)
    return record, key.whole()
