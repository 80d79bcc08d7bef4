"""The money verbs as a service of ours calls them, with short arguments."""

from __future__ import annotations

from uuid import UUID

from server.ledger import movement, reading
from tests.support.region import TestRegion

FINGERPRINT = b"the same request"


async def reserve(
    region: TestRegion, account: UUID, hold: UUID, amount: int, fingerprint: bytes = FINGERPRINT
) -> str:
    """Sets money aside for an hour."""
    return await movement.reserve(region.databases.worker, account, hold, amount, 3600, fingerprint)


async def capture(region: TestRegion, hold: UUID, amount: int) -> str:
    """Takes held money."""
    return await movement.capture(region.databases.worker, hold, amount)


async def release(region: TestRegion, hold: UUID) -> str:
    """Returns held money."""
    return await movement.release(region.databases.worker, hold)


async def grant(region: TestRegion, account: UUID, amount: int, key: str) -> str:
    """Adds money."""
    return await movement.grant(region.databases.worker, account, amount, key)


async def money(region: TestRegion, account: UUID) -> tuple[int, int, int]:
    """Posted, held and available micro-dollars."""
    row = await reading.balance(region.databases.app, account)
    return row.posted, row.held, row.available


async def overdue(region: TestRegion, *ids: UUID) -> None:
    """Moves holds, and the deadlines of their generations, an hour into the past."""
    connection = await region.connect()
    try:
        past = "now() - interval '1 hour' where id = $1"
        # One row a transaction: an update of many would lock them in no order.
        for id_ in ids:
            await connection.execute(f"update ledger.hold set expires_at = {past}", id_)
            await connection.execute(f"update generation.generation set deadline_at = {past}", id_)
    finally:
        await connection.close()
