"""Ending a key for good."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.accounts.holding import hold_right
from server.keys import store
from server.keys.notices import KeyNotices
from server.keys.store import KeyRecord
from server.keys.verification import KeyVerifier
from server.logs.activity import note_activity
from server.runtime.database import tenant_transaction
from server.runtime.fault_points import Point, reach


async def revoke_key(
    engine: AsyncEngine,
    verifier: KeyVerifier,
    account_id: UUID,
    key_id: UUID,
    *,
    actor: UUID | None = None,
    notices: KeyNotices | None = None,
) -> KeyRecord:
    """The revoked key; revoking it again changes nothing.

    `actor` is the member who does it, and `notices` tells the account's owners of a key that worked.

    This process refuses the key from now on, every other one of the region within a second.

    Raises:
        BabySeaError: NOT_FOUND when the account has no such key.
    """
    told = await notices.account_of_ending(account_id) if notices is not None else None
    async with tenant_transaction(engine, account_id) as connection:
        if actor is not None:
            await hold_right(connection, account_id, actor, "keys.end")
        known = await store.lock_key(connection, account_id, key_id)
        record = await store.revoke_key(connection, account_id, key_id)
        if known is None or record is None:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND, "There is no key with this id.")
        if known.revoked_at is None:
            await note_activity(
                connection,
                account_id=account_id,
                actor=actor,
                category="api_key",
                action="revoked",
                target=key_id,
            )
            if notices is not None:
                await notices.ended(connection, told, known)
    reach(Point.REVOCATION_COMMITTED)
    verifier.forget(record.public_id)
    return record
