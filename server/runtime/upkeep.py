"""Upkeep: what a region's database needs now and then, done by whichever worker comes first."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.runtime.database import system_transaction

_DAYS_AHEAD = 14
_EVERY_SECONDS = 3600.0
_PARTITIONS = text("select events.ensure_partitions(cast(:days as int))")
_log = logging.getLogger(__name__)


class Upkeep:
    """Makes the coming days' event partitions at start and every hour; a context manager around the worker's run."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begins."""
        self._task = asyncio.create_task(self._repeat(), name="upkeep")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _repeat(self) -> None:
        while True:
            pause = _EVERY_SECONDS
            try:
                async with system_transaction(self._engine) as connection:
                    await connection.execute(_PARTITIONS, {"days": _DAYS_AHEAD})
            except Exception:  # noqa: BLE001 - upkeep outlives every failure
                _log.warning("event partitions could not be made yet", exc_info=True)
                pause = 30.0
            await asyncio.sleep(pause)
