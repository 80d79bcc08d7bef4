"""Rate limit: requests per account and minute, shared by all its keys; and per signed-in person."""

from __future__ import annotations

from typing import ClassVar

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.runtime.interceptors.call import Call, Proceed
from server.runtime.rate_limit import AccountLimits


class RateLimit:
    """Counts every call of an API key or a member, and refuses those over the limit."""

    name: ClassVar[str] = "rate_limit"
    after: ClassVar[tuple[str, ...]] = ("recovery", "authentication", "authorization")

    def __init__(self, limits: AccountLimits) -> None:
        self._limits = limits

    async def around(self, call: Call, proceed: Proceed) -> object:
        """Counts the call, and lets it proceed while the account is within its limit."""
        caller = call.caller
        if caller is not None and caller.key is not None:
            standing = await self._limits.take(caller.key)
        elif caller is not None and caller.member is not None:
            standing = await self._limits.take_member(caller.member)
        else:
            return await proceed()
        call.trailing.update(standing.trailing())
        if not standing.allowed:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_RATE_LIMIT_EXCEEDED, details=standing.details())
        return await proceed()
