"""What the waste book says about one generation."""

from __future__ import annotations

from uuid import UUID

from tests.support.stack import Stack


async def wasted(stack: Stack, generation_id: str) -> list[tuple[str, str, int]]:
    """Provider, outcome and micro-dollars of each entry, in order."""
    connection = await stack.region.connect()
    try:
        rows = await connection.fetch(
            "select provider, outcome, amount from ledger.house_entry where generation_id = $1 order by created_at",
            UUID(generation_id),
        )
        return [(row["provider"], row["outcome"], row["amount"]) for row in rows]
    finally:
        await connection.close()
