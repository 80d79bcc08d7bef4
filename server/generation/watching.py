"""Watching: the record now, then again after each change, whichever process made it.

A process asks the database about all of its watched generations in one narrow query. Notifications of the database would
tell a little sooner, but PostgreSQL lets only one transaction at a time commit with one, and every admission and settlement
would be such a transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import generation_pb2
from kit.errors import BabySeaError
from server.generation import store
from server.generation.reading import Reading, Record
from server.runtime.identity import KeyHolder

MOST_PER_PROCESS = 200
"""Watches of one process; a call has its own limit beside them."""
MOST_PER_ACCOUNT = 20
"""Watches of one account at one process."""
_SHORTEST_SECONDS = 0.2
_LONGEST_SECONDS = 0.5
_GROWTH = 1.25
_FAILED_SECONDS = 1.0
_RECHECK_SECONDS = 15.0
"""A quiet watch looks after its key and its record so often all the same."""
_RETRY_AFTER_SECONDS = "5"
_LAST_WORD_SECONDS = 1.0
_LOOK_AROUND_SECONDS = 0.02
_TERMINAL = frozenset(
    {generation_pb2.STATE_SUCCEEDED, generation_pb2.STATE_FAILED, generation_pb2.STATE_CANCELED}
)
_log = logging.getLogger(__name__)


class Seats:
    """Counts the open watches of a process."""

    def __init__(self, per_process: int = MOST_PER_PROCESS, per_account: int = MOST_PER_ACCOUNT) -> None:
        self._per_process = per_process
        self._per_account = per_account
        self._taken: Counter[UUID] = Counter()

    @property
    def taken(self) -> int:
        """Open watches."""
        return self._taken.total()

    @contextmanager
    def seat(self, account_id: UUID) -> Iterator[None]:
        """Holds a seat.

        Raises:
            BabySeaError: CONCURRENCY_LIMIT_EXCEEDED for an account with too many, SERVICE_UNAVAILABLE for a full process.
        """
        if self._taken[account_id] >= self._per_account:
            raise BabySeaError(
                error_reason_pb2.ERROR_REASON_CONCURRENCY_LIMIT_EXCEEDED,
                f"This account watches {self._per_account} generations already; end one watch first.",
                details={"retry_after_seconds": _RETRY_AFTER_SECONDS, "limit": str(self._per_account)},
            )
        if self.taken >= self._per_process:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE)
        self._taken[account_id] += 1
        try:
            yield
        finally:
            self._taken[account_id] -= 1
            if not self._taken[account_id]:
                del self._taken[account_id]


@dataclass(slots=True)
class _Watched:
    """A generation that somebody of this process watches."""

    ears: set[asyncio.Event] = field(default_factory=set)
    mark: tuple[object, ...] | None = None
    """What was last seen of it; None before the first look."""
    pause: float = _SHORTEST_SECONDS
    due: float = 0.0
    """Loop time of the next look."""


class Changes:
    """Tells watchers in this process that their generations changed."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Takes the workers' engine: one query serves every tenant, and reads nothing but marks of change."""
        self._engine = engine
        self._watched: dict[UUID, _Watched] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def heard(self, generation_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set after each change from now on; whoever hears it clears it before it reads."""
        watched = self._watched.setdefault(generation_id, _Watched())
        watched.due, watched.pause = 0.0, _SHORTEST_SECONDS
        ear = asyncio.Event()
        watched.ears.add(ear)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_while_watched(), name="watched generations")
        try:
            yield ear
        finally:
            watched.ears.discard(ear)
            if not watched.ears and self._watched.get(generation_id) is watched:
                del self._watched[generation_id]

    def wake_all(self) -> None:
        """Sets every event."""
        for watched in self._watched.values():
            for ear in watched.ears:
                ear.set()

    async def close(self) -> None:
        """Stops looking."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    async def _look_while_watched(self) -> None:
        loop = asyncio.get_running_loop()
        while self._watched:
            started = loop.time()
            try:
                await self._look([key for key, each in self._watched.items() if each.due <= started])
            except Exception:  # noqa: BLE001 - the loop outlives every failure
                _log.warning("watched generations could not be looked at", exc_info=True)
                await asyncio.sleep(_FAILED_SECONDS)
                continue
            now = loop.time()
            soonest = min((each.due for each in self._watched.values()), default=now)
            # A slow database is asked more rarely: at most half of the time is spent asking.
            await asyncio.sleep(max(soonest - now, now - started, 0.05))

    async def _look(self, generation_ids: list[UUID]) -> None:
        if not generation_ids:
            return
        # For no request in particular: these statements would drown the traces.
        with suppress_instrumentation():
            marks = await store.marks(self._engine, generation_ids)
        now = asyncio.get_running_loop().time()
        for generation_id in generation_ids:
            watched = self._watched.get(generation_id)
            if watched is None:
                continue
            mark = marks.get(generation_id, ())
            watched.pause = min(watched.pause * _GROWTH, _LONGEST_SECONDS)
            if mark != watched.mark:
                # The first look counts as a change: the record may have been read just before it.
                watched.mark, watched.pause = mark, _SHORTEST_SECONDS
                for ear in watched.ears:
                    ear.set()
            watched.due = now + watched.pause


class Watching:
    """Streams records."""

    def __init__(self, changes: Changes, reading: Reading, seats: Seats | None = None) -> None:
        self._changes = changes
        self._reading = reading
        self._seats = seats or Seats()
        self._draining = False

    @property
    def open(self) -> int:
        """Watches in progress."""
        return self._seats.taken

    async def watch(self, holder: KeyHolder, generation_id: UUID) -> AsyncGenerator[Record, None]:
        """The record as it stands, then after each change; ends after a final state.

        Raises:
            BabySeaError: GENERATION_NOT_FOUND, also when it is deleted meanwhile; AUTHENTICATION_FAILED when the key has
                ended; SERVICE_UNAVAILABLE when this server stops; and what `Seats.seat` raises.
        """
        last: Record | None = None
        # Heard before it is read, so that nothing falls between the two.
        with self._seats.seat(holder.account_id), self._changes.heard(generation_id) as ear:
            while True:
                ear.clear()
                if self._draining:
                    raise BabySeaError(
                        error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE,
                        "This server is stopping; watch the generation again.",
                    )
                record = await self._reading.get(holder.account_id, generation_id, key_id=holder.key_id)
                if record != last:
                    yield record
                    last = record
                if record.generation.state in _TERMINAL:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(ear.wait(), _RECHECK_SECONDS)

    async def drain(self) -> None:
        """Ends every watch with SERVICE_UNAVAILABLE; waits a moment for those whose reader is slow."""
        self._draining = True
        ends = asyncio.get_running_loop().time() + _LAST_WORD_SECONDS
        while self.open and asyncio.get_running_loop().time() < ends:
            self._changes.wake_all()
            await asyncio.sleep(_LOOK_AROUND_SECONDS)
        # The last ones have left their seats and are being answered.
        await asyncio.sleep(_LOOK_AROUND_SECONDS)

    async def close(self) -> None:
        """Stops looking for changes."""
        await self._changes.close()
