"""Removing a key and everything kept of it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.accounts.holding import hold_right
from server.keys import store
from server.keys.notices import KeyNotices
from server.keys.verification import KeyVerifier
from server.logs.activity import note_activity
from server.logs.store import forget_key
from server.runtime.database import tenant_transaction


async def delete_key(
    engine: AsyncEngine,
    verifier: KeyVerifier,
    account_id: UUID,
    key_id: UUID,
    *,
    actor: UUID | None = None,
    notices: KeyNotices | None = None,
) -> None:
    """Removes a key, whether or not it works; a working one is refused everywhere as a revoked one would be.

    Its rows of the request log go with it, the daily counts stay. What was made with it keeps the key's id, which then leads
    nowhere. `actor` is the member who does it, and `notices` tells the account's owners of a key that worked.

    Raises:
        BabySeaError: NOT_FOUND when the account has no such key.
    """
    told = await notices.account_of_ending(account_id) if notices is not None else None
    async with tenant_transaction(engine, account_id) as connection:
        if actor is not None:
            await hold_right(connection, account_id, actor, "keys.end")
        known = await store.lock_key(connection, account_id, key_id)
        public_id = await store.delete_key(connection, account_id, key_id)
        if known is None or public_id is None:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND, "There is no key with this id.")
        await note_activity(
            connection,
            account_id=account_id,
            actor=actor,
            category="api_key",
            action="deleted",
            target=key_id,
        )
        if notices is not None:
            await notices.ended(connection, told, known)
        # Last, because it holds up the log's writers until the commit.
        await forget_key(connection, key_id)
    verifier.forget(public_id)
