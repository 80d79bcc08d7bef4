"""Whether a signed-in person may do something in an account."""

from __future__ import annotations

from dataclasses import replace
from typing import cast
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.accounts.permissions import GRID, Role, role_of
from server.runtime.database import statement
from server.runtime.identity import Member
from server.runtime.standing import Standing, check_standing

_FIND = text(
    "select role, is_primary, standing, plan, requests_per_minute from accounts.find_membership(:account, :person)"
)


class MemberAccess:
    """Answers for one region, from the database at every call: a right that was taken away is gone at once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def knows(self, permission: str) -> bool:
        """Whether the role grid has a permission."""
        return permission in GRID

    async def admit(self, member: Member, account_id: UUID | None, permission: str) -> Member:
        """The member as one of the account, where the role grid and the account's standing allow it.

        Raises:
            BabySeaError: ACCOUNT_NOT_FOUND for a stranger, whether or not the account exists; INSUFFICIENT_PERMISSIONS
                naming the permission; ACCOUNT_RESTRICTED.
        """
        row = None
        if account_id is not None:
            async with statement(self._engine) as connection:
                values = {"account": account_id, "person": member.person_id}
                row = (await connection.execute(_FIND, values)).one_or_none()
        if row is None:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
        role = role_of(row.role, primary=row.is_primary)
        check_right(role, cast("Standing", row.standing), permission)
        return replace(member, account_id=account_id, role=role)


def check_right(role: Role, standing: Standing, permission: str) -> None:
    """Lets a role pass that has a permission in an account of this standing.

    Raises:
        BabySeaError: INSUFFICIENT_PERMISSIONS naming the permission; ACCOUNT_RESTRICTED.
    """
    rule = GRID[permission]
    if role not in rule.roles:
        raise BabySeaError(
            error_reason_pb2.ERROR_REASON_INSUFFICIENT_PERMISSIONS,
            f'Your role in this account does not have the permission "{permission}" that the request needs.',
            details={"permission": permission},
        )
    check_standing(standing, while_restricted=rule.while_restricted, while_frozen=rule.while_frozen)
