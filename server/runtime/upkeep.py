"""Upkeep: what a region's database needs now and then, done by whichever worker comes first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.runtime.database import system_transaction
from server.runtime.repeating import Repeating

_DAYS_AHEAD = 14
_KEEP_LOGS = timedelta(days=366)
"""Longer than any plan keeps logs; what a plan keeps for less time is not removed here."""
_ROWS_AT_A_TIME = 10_000
_EVERY_SECONDS = 3600.0
_AFTER_FAILURE_SECONDS = 30.0
_PARTITIONS = text(
    "select events.ensure_partitions(cast(:days as int)), logs.ensure_partitions(cast(:days as int))"
)
_OVER = text("select logs.drop_partitions(cast(:before as date))")
_EXPIRED = text("select accounts.forget_expired(), accounts.forget_invitations()")
_GONE_KEYS = text("select logs.forget_gone_keys(cast(:limit as int))")


class Upkeep(Repeating):
    """At start and every hour: makes the coming days' partitions, drops the logs' old ones, and forgets what is over."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(
            "upkeep",
            _EVERY_SECONDS,
            trouble="upkeep could not be done yet",
            after_failure=_AFTER_FAILURE_SECONDS,
        )
        self._engine = engine

    async def once(self) -> None:
        """Makes the partitions that are missing, and removes logs that no plan keeps and what nobody can use any more."""
        async with system_transaction(self._engine) as connection:
            await connection.execute(_PARTITIONS, {"days": _DAYS_AHEAD})
        async with system_transaction(self._engine) as connection:
            before = (datetime.now(UTC) - _KEEP_LOGS).date()
            await connection.execute(_OVER, {"before": before})
        async with system_transaction(self._engine) as connection:
            await connection.execute(_EXPIRED)
        removed = _ROWS_AT_A_TIME
        while removed >= _ROWS_AT_A_TIME:
            async with system_transaction(self._engine) as connection:
                removed = (await connection.execute(_GONE_KEYS, {"limit": _ROWS_AT_A_TIME})).scalar_one()
