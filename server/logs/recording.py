"""The request log's way to the database: a buffer of bounded size that requests fill and one task empties."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import Self

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from kit.clock import Clock
from server.logs import store
from server.runtime.database_errors import driver_error
from server.runtime.request_facts import RequestFact

WRITTEN, WAITING, LOST = "request_log_written", "request_log_waiting", "request_log_lost"
"""Gauges: rows written since the process began, rows that wait, rows that were given up."""

CAPACITY = 20_000
BATCH = 100
_PAUSE_SECONDS = 0.25
_LONGEST_BACKOFF = 5.0
_DRAIN_SECONDS = 5.0
_BAD_VALUES = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
_log = logging.getLogger("babysea.logs")


class RequestRecorder:
    """Takes facts at any rate and writes them in batches; what finds the buffer full is counted and given up.

    A context manager around the server's run. Leaving it writes what is left, for a few seconds at most.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        process: str,
        clock: Clock,
        gauge: Callable[[str, float], None],
        *,
        capacity: int = CAPACITY,
        drain_seconds: float = _DRAIN_SECONDS,
    ) -> None:
        """Makes a recorder.

        Args:
            engine: of the role babysea_logger, in autocommit.
            process: name of this process in gaps.
            clock: tells when rows were given up.
            gauge: takes the figures by name.
            capacity: rows that may wait.
            drain_seconds: time for what is left at the end.
        """
        self._engine = engine
        self._process = process
        self._clock = clock
        self._gauge = gauge
        self._capacity = capacity
        self._drain_seconds = drain_seconds
        self._waiting: deque[RequestFact] = deque()
        self._gap: _Gap | None = None
        self._wake = asyncio.Event()
        self._ending = False
        self._task: asyncio.Task[None] | None = None
        self.written = 0
        """Rows written."""
        self.lost = 0
        """Rows given up."""

    @property
    def waiting(self) -> int:
        """Rows that wait; never more than the capacity."""
        return len(self._waiting)

    def record(self, fact: RequestFact) -> None:
        """Takes a fact; returns at once and never fails."""
        if len(self._waiting) >= self._capacity:
            self._lose(1)
            return
        self._waiting.append(fact)
        if len(self._waiting) >= BATCH:
            self._wake.set()

    async def __aenter__(self) -> Self:
        """Begins to write."""
        # In an empty context: the writer serves every tenant and belongs to nobody's trace.
        self._task = asyncio.create_task(self._run(), name="request log", context=contextvars.Context())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes what is left, while there is time."""
        self._ending = True
        self._wake.set()
        if self._task is None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._task, self._drain_seconds)
        if self._waiting:
            _log.warning("requests were not logged at the end", extra={"facts": {"rows": len(self._waiting)}})

    async def _run(self) -> None:
        backoff = _PAUSE_SECONDS
        while not (self._ending and not self._waiting and self._gap is None):
            if not self._ending:
                self._wake.clear()
                # A full batch is worth a round trip at once, and anything less one in a quarter of a second.
                if len(self._waiting) < BATCH or backoff > _PAUSE_SECONDS:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), backoff)
            elif backoff > _PAUSE_SECONDS:
                await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self._flush()
                backoff = _PAUSE_SECONDS
            except Exception:  # noqa: BLE001 - whatever it was, requests go on and it is tried again
                if backoff == _PAUSE_SECONDS:
                    _log.warning("requests cannot be logged now", exc_info=True)
                backoff = min(backoff * 2, _LONGEST_BACKOFF)
            self._tell()

    async def _flush(self) -> None:
        while self._waiting:
            taken = min(len(self._waiting), BATCH)
            await self._write(list(islice(self._waiting, taken)))
            # Only now: what could not be written is still there to be written again, which changes nothing if it was.
            for _ in range(taken):
                self._waiting.popleft()
            if taken < BATCH:
                break
        if self._gap is not None:
            gap, self._gap = self._gap, None
            try:
                await store.note_gap(self._engine, self._process, gap.began, gap.ended, gap.lost)
            except BaseException:
                self._gap = gap.joined(self._gap)
                raise

    async def _write(self, facts: list[RequestFact]) -> None:
        try:
            self.written += await store.write_requests(self._engine, once_each(facts))
            return
        except Exception as error:
            if not isinstance(driver_error(error), _BAD_VALUES):
                raise
        if len(facts) == 1:
            # It would be refused for ever and hold up the others.
            _log.error("a request cannot be logged", extra={"facts": {"route": facts[0].route}})
            self._lose(1)
            return
        for fact in facts:
            await self._write([fact])

    def _lose(self, rows: int) -> None:
        self.lost += rows
        now = self._clock.now()
        self._gap = _Gap(now, now, rows).joined(self._gap)

    def _tell(self) -> None:
        self._gauge(WRITTEN, self.written)
        self._gauge(WAITING, len(self._waiting))
        self._gauge(LOST, self.lost)


@dataclass(frozen=True, slots=True)
class _Gap:
    """A time in which rows were given up."""

    began: datetime
    ended: datetime
    lost: int

    def joined(self, other: _Gap | None) -> _Gap:
        if other is None:
            return self
        return _Gap(min(self.began, other.began), max(self.ended, other.ended), self.lost + other.lost)


def once_each(facts: list[RequestFact]) -> list[RequestFact]:
    """The facts without repeats of one request: of several calls for it the last one's outcome counts, with all their time."""
    kept: dict[tuple[object, ...], RequestFact] = {}
    for fact in facts:
        key = (fact.account_id, fact.at, fact.id)
        known = kept.get(key)
        kept[key] = fact if known is None else _together(known, fact)
    return list(kept.values())


def _together(one: RequestFact, other: RequestFact) -> RequestFact:
    later = other if other.ended_at > one.ended_at else one
    return replace(later, millis=one.millis + other.millis)
