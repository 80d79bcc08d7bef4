"""Stand-ins for tests of servers that nobody signs in to."""

from __future__ import annotations

from uuid import UUID

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.runtime.identity import Member


class NoSessions:
    """Knows no session."""

    async def verify(self, token: str) -> Member:
        """Refuses every session."""
        raise BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED)


class NoMembers:
    """Knows no member of any account."""

    def knows(self, permission: str) -> bool:
        """Whether the role grid has a permission: any."""
        return True

    async def admit(self, member: Member, account_id: UUID | None, permission: str) -> Member:
        """Refuses everybody as a stranger."""
        raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
