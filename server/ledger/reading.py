"""Reading money: balances and journal rows, always as one tenant."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError, invalid
from server.ledger import store
from server.runtime.database import tenant_transaction
from server.runtime.paging import Page, token_after

_NEWEST = 2**62


async def balance(app: AsyncEngine, account_id: UUID) -> store.BalanceRow:
    """The account's balance.

    Raises:
        BabySeaError: ACCOUNT_NOT_FOUND.
    """
    async with tenant_transaction(app, account_id) as connection:
        row = await store.balance(connection, account_id)
    if row is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
    return row


async def entries(
    app: AsyncEngine, account_id: UUID, hold_id: UUID | None, page: Page
) -> tuple[list[store.EntryRow], int, str]:
    """One page of journal rows, newest first, the number of all, and the next page's token."""
    before = _NEWEST
    if page.after:
        if not (page.after[0].isascii() and page.after[0].isdecimal() and len(page.after[0]) < 19):
            raise invalid("page.page_token", "The page token is not one that this list gave.")
        before = int(page.after[0])
    async with tenant_transaction(app, account_id) as connection:
        rows = await store.entries(connection, account_id, hold_id, before, page.size + 1, page.offset)
        total = await store.entry_count(connection, account_id, hold_id)
    more = len(rows) > page.size
    rows = rows[: page.size]
    return rows, total, token_after(rows[-1].version) if more else ""
