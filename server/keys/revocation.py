"""Ending a key for good."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.keys import store
from server.keys.store import KeyRecord
from server.keys.verification import KeyVerifier
from server.runtime.database import tenant_transaction


async def revoke_key(engine: AsyncEngine, verifier: KeyVerifier, account_id: UUID, key_id: UUID) -> KeyRecord:
    """The revoked key; revoking it again changes nothing.

    This process refuses the key from now on, every other one of the region within a second.

    Raises:
        BabySeaError: NOT_FOUND when the account has no such key.
    """
    async with tenant_transaction(engine, account_id) as connection:
        record = await store.revoke_key(connection, account_id, key_id)
    if record is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND, "There is no key with this id.")
    verifier.forget(record.public_id)
    return record
