"""Restricting and freezing accounts, and letting them be."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from kit.ids import uuid7
from server.accounts.settings import store
from server.logs.activity import note_activity
from server.notifications.posting import Letter, notify, post_email, seal_letter
from server.runtime.database import system_transaction
from server.runtime.encryption import Envelope


async def set_standing(
    engine: AsyncEngine, envelope: Envelope, account_id: UUID, *, standing: str, reason: str
) -> bool:
    """Sets how an account stands, and tells its owners; False when it stood so already, and nobody is told.

    Args:
        engine: babysea_worker's.
        envelope: seals the letters.
        account_id: the account.
        standing: "active", "restricted" or "frozen".
        reason: a word of the contract, for the activity log.

    Raises:
        BabySeaError: ACCOUNT_NOT_FOUND.
    """
    letters = await _letters(engine, envelope, account_id, standing)
    async with system_transaction(engine) as connection:
        before = await store.set_standing(connection, account_id, standing)
        if before is None:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
        if before == standing:
            return False
        await note_activity(
            connection,
            account_id=account_id,
            actor=None,
            category="account",
            action="standing_changed",
            details={"from": before, "to": standing, "reason": reason},
        )
        for letter in letters:
            await post_email(connection, letter)
        await notify(
            connection,
            account_id=account_id,
            person_ids=[letter.person_id for letter in letters if letter.person_id is not None],
            category="account",
            kind="account.standing_changed",
            event_key=f"account.standing_changed:{uuid7()}",
            data={"standing": standing},
        )
    return True


async def _letters(engine: AsyncEngine, envelope: Envelope, account_id: UUID, standing: str) -> list[Letter]:
    async with system_transaction(engine) as connection:
        name_ct = await store.get_name(connection, account_id)
        owners = await store.owners_of(connection, account_id)
    if name_ct is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
    name = (await envelope.open(account_id, "account.name", account_id, name_ct)).decode()
    return [
        await seal_letter(
            envelope,
            template="account.standing_changed",
            event_key=f"account.standing_changed:{uuid7()}",
            data={"account": name, "standing": standing},
            sealed_by=person_id,
            person_id=person_id,
            account_id=account_id,
        )
        for person_id in owners
    ]
