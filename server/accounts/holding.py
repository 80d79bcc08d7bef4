"""Holding a right until a change is made: the role that let a call in may be gone by the time it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.accounts.access import check_right
from server.accounts.permissions import Role, role_of
from server.runtime.standing import Standing

_LOCK_ALONE = text("select id from accounts.account where id = :account for no key update")
_LOCK_SHARED = text("select id from accounts.account where id = :account for share")
_FIND = text(
    "select m.role, coalesce(a.primary_owner = m.person_id, false) as is_primary, a.standing, a.personal"
    " from accounts.membership m join accounts.account a on a.id = m.account_id"
    " where m.account_id = :account and m.person_id = :person and a.deleted_at is null"
)


@dataclass(frozen=True, slots=True)
class Held:
    """What stays true until the transaction ends."""

    role: Role
    personal: bool
    """Whether the account belongs to one person."""


async def hold_right(
    connection: AsyncConnection, account_id: UUID, person_id: UUID, permission: str, *, alone: bool = False
) -> Held:
    """The role of a person, which nobody takes away before the caller's transaction ends.

    Everything that changes who belongs to an account, and how it stands, locks the account's row first; so one waits for the
    other, and never two for each other.

    Args:
        connection: a transaction of the account.
        account_id: the account.
        person_id: who acts.
        permission: what for, a name of the role grid.
        alone: whether the transaction itself changes who belongs to the account, and must be the only one that does.

    Raises:
        BabySeaError: ACCOUNT_NOT_FOUND, INSUFFICIENT_PERMISSIONS or ACCOUNT_RESTRICTED, as when the call came in.
    """
    await connection.execute(_LOCK_ALONE if alone else _LOCK_SHARED, {"account": account_id})
    # A statement of its own, so that it sees what the lock waited for.
    values = {"account": account_id, "person": person_id}
    row = (await connection.execute(_FIND, values)).one_or_none()
    if row is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
    role = role_of(row.role, primary=row.is_primary)
    check_right(role, cast("Standing", row.standing), permission)
    return Held(role, row.personal)
