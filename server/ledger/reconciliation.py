"""The reconciler: asks about holds whose time is over, and ends what nobody can end otherwise.

The executor ends a generation at its deadline by itself. What the reconciler meets is what the executor could not end: a
job that lies lost, backs off, hangs or keeps failing. It wakes the job first, so that the executor asks the provider; only
past the grace does it end the generation, see docs/adr/0019.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine

from server.ledger import upkeep_store as store

GRACE = timedelta(minutes=5)
"""Past the deadline, the executor has this long to end a generation itself, outages of the storage included."""
STUCK = timedelta(minutes=2)
"""A claimed job that has not moved for this long hangs: no step of a healthy worker takes that long."""

_EVERY_SECONDS = 15.0
_BATCH = 200
_MOVED = frozenset({"released", "adopted", "woken", "ended"})
_log = logging.getLogger(__name__)


async def reconcile(
    engine: AsyncEngine, grace: timedelta = GRACE, stuck: timedelta = STUCK, size: int = _BATCH
) -> Counter[str]:
    """Looks once at every overdue hold, each in a transaction of its own; how often each word was the answer."""
    words: Counter[str] = Counter()
    for hold_id in await store.overdue_holds(engine, size):
        try:
            word = await store.reconcile_hold(engine, hold_id, grace, stuck)
        except Exception:  # noqa: BLE001 - one hold's failure is no other's
            _log.warning(
                "an overdue hold could not be reconciled",
                exc_info=True,
                extra={"facts": {"hold_id": str(hold_id)}},
            )
            word = "error"
        words[word] += 1
        if word in _MOVED:
            _log.warning("overdue hold", extra={"facts": {"hold_id": str(hold_id), "result": word}})
    if words:
        await store.forget_settled(engine)
    return words


class Reconciler:
    """Reconciles again and again; a context manager around the worker's run."""

    def __init__(
        self,
        engine: AsyncEngine,
        every_seconds: float = _EVERY_SECONDS,
        grace: timedelta = GRACE,
        stuck: timedelta = STUCK,
    ) -> None:
        self._engine = engine
        self._every_seconds = every_seconds
        self._grace = grace
        self._stuck = stuck
        self._task: asyncio.Task[None] | None = None
        self.words: Counter[str] = Counter()
        """How often each word was the answer since this process began."""

    async def __aenter__(self) -> Self:
        """Begins."""
        self._task = asyncio.create_task(self._repeat(), name="reconciler")
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
            try:
                self.words += await reconcile(self._engine, self._grace, self._stuck)
            except Exception:  # noqa: BLE001 - the reconciler outlives every failure
                _log.warning("overdue holds could not be read", exc_info=True)
            await asyncio.sleep(self._every_seconds)
