"""The executor: keeps the worker's lease, claims due jobs, advances each in a task of its own, hands back what is left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from opentelemetry.trace import SpanKind
from sqlalchemy.ext.asyncio import AsyncEngine

from kit.clock import Clock
from kit.ids import uuid7
from kit.telemetry import GENERATION_ATTRIBUTE, joined_span
from server.generation.execution.step import Again, Stepper
from server.generation.execution.store import JobLost
from server.generation.execution.tracing import traceparent_of
from server.runtime import leases
from server.runtime.leases import Job

_BUSY_SECONDS = 0.01
_IDLE_SECONDS = 0.15
_LONGEST_BACKOFF = 60.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """How an executor works."""

    concurrency: int
    """Jobs at a time."""
    lease_seconds: float
    """Silence after which its jobs go to others."""
    drain_seconds: float
    """Time given to steps in progress when stopping."""


class Executor:
    """Works on generations until it is stopped."""

    def __init__(
        self,
        engine: AsyncEngine,
        stepper: Stepper,
        settings: ExecutorSettings,
        clock: Clock,
        new_id: Callable[[], UUID] = uuid7,
    ) -> None:
        self._engine = engine
        self._stepper = stepper
        self._settings = settings
        self._clock = clock
        self._new_id = new_id
        self._worker: UUID | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Works until `stop` is called, then drains and hands the rest back."""
        beating = asyncio.create_task(self._beat(), name="heartbeat")
        try:
            await self._claim_until_stopped()
            await self._drain()
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating
            await self._leave()

    def stop(self) -> None:
        """Stops claiming; `run` returns when its steps have ended."""
        self._stopping.set()

    async def _claim_until_stopped(self) -> None:
        while not self._stopping.is_set():
            pause = _IDLE_SECONDS
            try:
                if self._worker is not None and (free := self._settings.concurrency - len(self._tasks)) > 0:
                    jobs = await leases.claim(self._engine, self._worker, free)
                    for job in jobs:
                        self._spawn(job)
                    pause = _BUSY_SECONDS if jobs else _IDLE_SECONDS
            except Exception:  # noqa: BLE001 - the loop outlives every failure
                _log.warning("jobs could not be claimed", exc_info=True)
                pause = 1.0
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    def _spawn(self, job: Job) -> None:
        task = asyncio.create_task(self._work(job), name=f"job {job.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, job: Job) -> None:
        try:
            parent = await traceparent_of(self._engine, job.id)
            attributes: dict[str, str | int] = {
                GENERATION_ATTRIBUTE: str(job.id),
                "babysea.claim": job.attempt,
            }
            with joined_span("executor step", parent, kind=SpanKind.CONSUMER, attributes=attributes):
                outcome = await self._stepper.advance(job)
        except JobLost:
            return
        except Exception:  # noqa: BLE001 - one job's failure is no other's
            _log.exception("a step failed", extra={"facts": {"generation_id": str(job.id)}})
            pause = min(0.5 * 2 ** min(job.attempt, 10), _LONGEST_BACKOFF)
            outcome = Again(self._clock.now() + timedelta(seconds=pause))
        if isinstance(outcome, Again):
            await self._insist(lambda: leases.give_back(self._engine, job, outcome.at))
        elif outcome.finish:
            await self._insist(lambda: leases.finish(self._engine, job))

    async def _insist(self, write: Callable[[], object]) -> None:
        """Repeats a write until the database took it: a job that stays claimed by a living worker would never end."""
        while True:
            try:
                await write()  # type: ignore[misc]
            except Exception:  # noqa: BLE001 - whatever it was, the job must not stay claimed
                _log.warning("a job could not be given back yet", exc_info=True)
                await asyncio.sleep(0.5)
            else:
                return

    async def _beat(self) -> None:
        """Keeps the lease; when it ran out, gives up every job and begins anew under another id."""
        while True:
            try:
                if self._worker is None:
                    worker = self._new_id()
                    await leases.heartbeat(self._engine, worker, self._settings.lease_seconds, new=True)
                    self._worker = worker
                elif not await leases.heartbeat(self._engine, self._worker, self._settings.lease_seconds):
                    _log.warning("the lease ran out; all jobs are given up")
                    self._worker = None
                    for task in self._tasks:
                        task.cancel()
                    continue
                await leases.reclaim(self._engine)
            except Exception:  # noqa: BLE001 - the heartbeat outlives every failure
                _log.warning("the heartbeat failed", exc_info=True)
                await asyncio.sleep(min(1.0, self._settings.lease_seconds / 3))
                continue
            await asyncio.sleep(self._settings.lease_seconds / 3)

    async def _drain(self) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._settings.drain_seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1)

    async def _leave(self) -> None:
        if self._worker is not None:
            with suppress(Exception):
                await leases.leave(self._engine, self._worker)
