"""The reconciler: asks about holds whose time is over, and ends what nobody can end otherwise.

The executor ends a generation at its deadline by itself. What the reconciler meets is what the executor could not end: a
job that lies lost, backs off, hangs or keeps failing. It wakes the job first, so that the executor asks the provider; only
past the grace does it end the generation, see docs/adr/0019.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from server.ledger import upkeep_store as store
from server.runtime.repeating import Repeating

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


class Reconciler(Repeating):
    """Reconciles again and again; a context manager around the worker's run."""

    def __init__(
        self,
        engine: AsyncEngine,
        every_seconds: float = _EVERY_SECONDS,
        grace: timedelta = GRACE,
        stuck: timedelta = STUCK,
    ) -> None:
        super().__init__("reconciler", every_seconds, trouble="overdue holds could not be read")
        self._engine = engine
        self._grace = grace
        self._stuck = stuck
        self.words: Counter[str] = Counter()
        """How often each word was the answer since this process began."""

    async def once(self) -> None:
        """Looks at the overdue holds."""
        self.words += await reconcile(self._engine, self._grace, self._stuck)
