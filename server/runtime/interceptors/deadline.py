"""Deadline: no call outlives its caller's patience, and every answer says where its time went."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from kit.rpc import DATABASE_MILLIS, SERVER_MILLIS
from server.runtime.database import database_stopwatch
from server.runtime.interceptors.call import Call, Proceed

DEFAULT_SECONDS = 15.0
"""Given to a unary call that comes without a deadline."""

LONGEST_SECONDS = 30.0
"""The most that a unary call can ask for."""


class Deadline:
    """Ends a call when its time is up, and reports the time that it took."""

    name: ClassVar[str] = "deadline"
    after: ClassVar[tuple[str, ...]] = ("recovery", "request_log", "metrics")

    def __init__(
        self, default_seconds: float = DEFAULT_SECONDS, longest_seconds: float = LONGEST_SECONDS
    ) -> None:
        self._default = default_seconds
        self._longest = longest_seconds

    async def around(self, call: Call, proceed: Proceed) -> object:
        """Runs the rest of the call within its time."""
        async with database_stopwatch() as waits:
            try:
                async with asyncio.timeout(self._seconds(call)) as timer:
                    return await proceed()
            except TimeoutError as error:
                if not timer.expired():
                    raise
                raise BabySeaError(error_reason_pb2.ERROR_REASON_DEADLINE_EXCEEDED) from error
            finally:
                call.trailing[SERVER_MILLIS] = f"{call.millis():.1f}"
                call.trailing[DATABASE_MILLIS] = f"{sum(waits) * 1000:.1f}"

    def _seconds(self, call: Call) -> float | None:
        asked: float | None = call.context.time_remaining()
        if call.streaming:
            # A stream may rightly last as long as somebody reads it.
            return asked
        return self._default if asked is None else min(asked, self._longest)
