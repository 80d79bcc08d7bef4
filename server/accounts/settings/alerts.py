"""When and how an account is warned of a low balance."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from server.accounts.holding import hold_right
from server.accounts.settings import store
from server.accounts.settings.store import AlertsRow
from server.logs.activity import note_activity
from server.runtime.database import member_transaction, tenant_transaction
from server.runtime.identity import Member


async def read_alerts(engine: AsyncEngine, account_id: UUID) -> AlertsRow:
    """The alerts of an account."""
    async with tenant_transaction(engine, account_id) as connection:
        return await store.get_alerts(connection, account_id)


async def update_alerts(
    engine: AsyncEngine,
    member: Member,
    *,
    thresholds: Sequence[int],
    in_app: bool | None,
    email: bool | None,
    webhook: bool | None,
) -> AlertsRow:
    """Replaces the thresholds (micro-dollars, at most 10, as the contract checks) and the given channels."""
    account_id = member.account
    async with member_transaction(engine, account_id, member.person_id) as connection:
        # Alone: two who replace the thresholds at once must not leave the sum of both.
        await hold_right(connection, account_id, member.person_id, "alerts.edit", alone=True)
        before = await store.get_alerts(connection, account_id)
        await store.set_alerts(
            connection, account_id, thresholds, in_app=in_app, email=email, webhook=webhook
        )
        after = await store.get_alerts(connection, account_id)
        if after != before:
            await note_activity(
                connection,
                account_id=account_id,
                actor=member.person_id,
                category="account",
                action="alerts_changed",
                details={"thresholds": len(after.thresholds)},
            )
    return after
