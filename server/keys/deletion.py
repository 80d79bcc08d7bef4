"""Removing a key and everything kept of it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.keys import store
from server.keys.verification import KeyVerifier
from server.runtime.database import tenant_transaction


async def delete_key(engine: AsyncEngine, verifier: KeyVerifier, account_id: UUID, key_id: UUID) -> None:
    """Removes a key, whether or not it works; a working one is refused everywhere as a revoked one would be.

    What was made with it keeps the key's id, which then leads nowhere.

    Raises:
        BabySeaError: NOT_FOUND when the account has no such key.
    """
    async with tenant_transaction(engine, account_id) as connection:
        public_id = await store.delete_key(connection, account_id, key_id)
    if public_id is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND, "There is no key with this id.")
    verifier.forget(public_id)
