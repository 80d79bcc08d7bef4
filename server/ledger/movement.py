"""Moving money: reserve, capture, release, grant. Each answers with a word, never with a boolean."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from server.ledger import store

reserve = store.reserve
grant = store.grant


async def capture(engine: AsyncEngine, hold_id: UUID, amount: int) -> str:
    """Takes held money.

    "captured", "already_captured" (the same amount before), "conflict" (another amount before), "already_released",
    "bad_amount" (more than was held), "unknown_hold".
    """
    if amount < 1:
        return "bad_amount"
    word = await store.settle(engine, hold_id, amount)
    if word != "already_captured":
        return word
    known = await store.captured(engine, hold_id)
    return word if known is not None and known[1] == amount else "conflict"


async def release(engine: AsyncEngine, hold_id: UUID) -> str:
    """Returns held money: "released", "already_released", "already_captured", "unknown_hold"."""
    return await store.settle(engine, hold_id, 0)
