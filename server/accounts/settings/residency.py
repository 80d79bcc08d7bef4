"""Where an account's generations may run."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.accounts.holding import hold_right
from server.accounts.settings import store
from server.accounts.settings.store import SettingsRow
from server.logs.activity import note_activity
from server.runtime.database import member_transaction, tenant_transaction
from server.runtime.identity import Member


async def read_settings(engine: AsyncEngine, account_id: UUID) -> SettingsRow:
    """The settings of an account.

    Raises:
        BabySeaError: ACCOUNT_NOT_FOUND, also while its ledger is not open yet.
    """
    async with tenant_transaction(engine, account_id) as connection:
        return await _settings(connection, account_id)


async def update_settings(engine: AsyncEngine, member: Member, *, residency: str | None) -> SettingsRow:
    """Changes what is given; generations that are admitted afterwards follow it.

    Raises:
        BabySeaError: ACCOUNT_NOT_FOUND.
    """
    account_id = member.account
    async with member_transaction(engine, account_id, member.person_id) as connection:
        await hold_right(connection, account_id, member.person_id, "settings.edit")
        known = await _settings(connection, account_id)
        if residency is None or residency == known.residency:
            return known
        await store.set_residency(connection, residency)
        await note_activity(
            connection,
            account_id=account_id,
            actor=member.person_id,
            category="account",
            action="residency_changed",
            details={"from": known.residency, "to": residency},
        )
        return await _settings(connection, account_id)


async def _settings(connection: AsyncConnection, account_id: UUID) -> SettingsRow:
    found = await store.get_settings(connection, account_id)
    if found is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
    return found
