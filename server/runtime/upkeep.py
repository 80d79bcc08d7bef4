"""Upkeep: what a region's database needs now and then, done by whichever worker comes first."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.runtime.database import system_transaction
from server.runtime.repeating import Repeating

_DAYS_AHEAD = 14
_EVERY_SECONDS = 3600.0
_AFTER_FAILURE_SECONDS = 30.0
_PARTITIONS = text("select events.ensure_partitions(cast(:days as int))")


class Upkeep(Repeating):
    """Makes the coming days' event partitions at start and every hour."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(
            "upkeep",
            _EVERY_SECONDS,
            trouble="event partitions could not be made yet",
            after_failure=_AFTER_FAILURE_SECONDS,
        )
        self._engine = engine

    async def once(self) -> None:
        """Makes the partitions that are missing."""
        async with system_transaction(self._engine) as connection:
            await connection.execute(_PARTITIONS, {"days": _DAYS_AHEAD})
