"""Reading keys: all of an account, or one of them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.keys import store
from server.keys.store import KeyRecord
from server.runtime.database import tenant_transaction
from server.runtime.paging import Page, place_of, token_after


@dataclass(frozen=True, slots=True)
class KeyPage:
    """One page of an account's keys, newest first."""

    keys: list[KeyRecord]
    total: int
    """Keys of the account, revoked ones too."""
    next_token: str
    """Continues after this page; empty on the last one."""


async def list_keys(engine: AsyncEngine, account_id: UUID, page: Page) -> KeyPage:
    """A page of an account's keys; an account that does not exist has none.

    Raises:
        BabySeaError: INVALID_INPUT for a page token that no answer gave.
    """
    before = place_of(page)
    async with tenant_transaction(engine, account_id) as connection:
        # One row more than asked says whether there is a next page.
        keys = await store.list_keys(
            connection, account_id, before=before, limit=page.size + 1, offset=page.offset
        )
        total = await store.count_keys(connection, account_id)
    shown = keys[: page.size]
    more = len(keys) > page.size
    token = token_after(shown[-1].created_at.isoformat(), shown[-1].id) if more else ""
    return KeyPage(shown, total, token)


async def get_key(engine: AsyncEngine, account_id: UUID, key_id: UUID) -> KeyRecord:
    """One key of an account.

    Raises:
        BabySeaError: NOT_FOUND when the account has no such key.
    """
    async with tenant_transaction(engine, account_id) as connection:
        record = await store.get_key(connection, account_id, key_id)
    if record is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND, "There is no key with this id.")
    return record
