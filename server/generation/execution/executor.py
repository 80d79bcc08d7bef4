"""The executor: keeps the worker's lease, claims due jobs, advances each in a task of its own, hands back what is left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from opentelemetry.trace import SpanKind
from sqlalchemy.ext.asyncio import AsyncEngine

from kit.ids import uuid7
from kit.telemetry import GENERATION_ATTRIBUTE, joined_span
from server.generation.execution.next_step import Again, Next, Over
from server.generation.execution.persistence import DATABASE_ERRORS, insist
from server.generation.execution.step import Stepper
from server.generation.execution.store import JobLost
from server.generation.execution.tracing import traceparent_of
from server.runtime import leases
from server.runtime.database_errors import is_refused
from server.runtime.fault_points import Point, reach
from server.runtime.leases import Job

_BUSY_SECONDS = 0.01
_LOST_SECONDS = 2.0
_IDLE_SECONDS = 0.15
_LONGEST_BACKOFF = 60.0
_LONGEST_DATABASE_PAUSE = 5.0
_REMEMBERED_FAILURES = 10_000
_SEND_SECONDS = 20.0
_DELIVER_SECONDS = 5.0
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
        lease_engine: AsyncEngine,
        stepper: Stepper,
        settings: ExecutorSettings,
        new_id: Callable[[], UUID] = uuid7,
    ) -> None:
        """Takes its parts; the lease has an engine to itself, because a lease that waits for a connection runs out."""
        self._engine = engine
        self._lease_engine = lease_engine
        self._stepper = stepper
        self._settings = settings
        self._new_id = new_id
        self._worker: UUID | None = None
        self._live: dict[UUID, asyncio.Task[None]] = {}
        self._failures: dict[UUID, int] = {}
        self._claim_in_doubt = False
        self._away = False
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
        """Stops claiming, and begins no attempt any more; `run` returns when its steps have ended."""
        self._stopping.set()
        self._stepper.stop()

    async def _claim_until_stopped(self) -> None:
        while not self._stopping.is_set():
            pause = _IDLE_SECONDS
            try:
                if self._worker is not None and (free := self._settings.concurrency - len(self._live)) > 0:
                    await self._reconcile(self._worker)
                    jobs = await leases.claim(self._engine, self._worker, free)
                    for job in jobs:
                        self._spawn(job)
                    pause = _BUSY_SECONDS if jobs else _IDLE_SECONDS
            except Exception as error:  # noqa: BLE001 - the loop outlives every failure
                # The claim may have been made and only its answer lost: its jobs would wait for nobody.
                self._claim_in_doubt = True
                self._tell("jobs could not be claimed", error)
                pause = 1.0
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _reconcile(self, worker: UUID) -> None:
        """Frees jobs that are ours on record and that no task works on. No claim is in flight while this runs."""
        if self._claim_in_doubt:
            await leases.release_except(self._engine, worker, list(self._live))
            self._claim_in_doubt = False
            self._away = False

    def _tell(self, what: str, error: Exception) -> None:
        """Logs a failure of the database, its place only the first time: an outage would fill the log."""
        _log.warning(what, exc_info=None if self._away else error)
        self._away = True

    def _spawn(self, job: Job) -> None:
        task = asyncio.create_task(self._work(job), name=f"job {job.id}")
        self._live[job.id] = task
        task.add_done_callback(
            lambda done: self._live.pop(job.id, None) if self._live.get(job.id) is done else None
        )

    async def _work(self, job: Job) -> None:
        reach(Point.JOB_CLAIMED)
        try:
            parent = await traceparent_of(self._engine, job.id)
            attributes: dict[str, str | int] = {
                GENERATION_ATTRIBUTE: str(job.id),
                "babysea.claim": job.attempt,
            }
            with joined_span("executor step", parent, kind=SpanKind.CONSUMER, attributes=attributes):
                outcome = await self._stepper.advance(job)
            self._failures.pop(job.id, None)
        except JobLost:
            # Where it is ours all the same, somebody must look at it again; else this changes nothing.
            outcome = Again(_LOST_SECONDS)
        except Exception as error:  # noqa: BLE001 - one job's failure is no other's
            outcome = await self._after_failure(job, error)
        if isinstance(outcome, Again):
            await insist(lambda: leases.give_back(self._engine, job, outcome.pause))
        elif outcome.finish:
            await insist(lambda: leases.finish(self._engine, job))

    async def _after_failure(self, job: Job, error: Exception) -> Next:
        """Waits longer with every failure in a row, until the generation's deadline ends it."""
        failures = self._failures[job.id] = self._failures.get(job.id, 0) + 1
        facts = {"facts": {"generation_id": str(job.id), "failures": failures}}
        _log.error("a step failed", exc_info=error, extra=facts)
        if len(self._failures) > _REMEMBERED_FAILURES:
            self._failures.clear()
        if isinstance(error, DATABASE_ERRORS) and not is_refused(error):
            return Again(min(0.5 * 2**failures, _LONGEST_DATABASE_PAUSE))
        with suppress(*DATABASE_ERRORS, JobLost):
            if await self._stepper.after_failure(job):
                return Over(finish=True)
        return Again(min(0.5 * 2**failures, _LONGEST_BACKOFF))

    async def _beat(self) -> None:
        """Keeps the lease; when it ran out, gives up every job and begins anew under another id."""
        lease, loop = self._settings.lease_seconds, asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                if self._worker is None:
                    worker = self._new_id()
                    await leases.heartbeat(self._lease_engine, worker, lease, new=True)
                    self._worker = worker
                elif not await leases.heartbeat(self._lease_engine, self._worker, lease):
                    _log.warning("the lease ran out; all jobs are given up")
                    self._worker = None
                    for task in self._live.values():
                        task.cancel()
                    continue
                if await leases.reclaim(self._lease_engine):
                    reach(Point.LEASE_RECLAIMED)
            except Exception:  # noqa: BLE001 - the heartbeat outlives every failure
                _log.warning("the heartbeat failed", exc_info=True)
                await asyncio.sleep(min(1.0, lease / 3))
                continue
            # From its beginning: a slow database is asked sooner, not later.
            await asyncio.sleep(max(0.0, began + lease / 3 - loop.time()))

    async def _drain(self) -> None:
        """Lets steps come to their end, in a bounded time."""
        if self._live:
            await asyncio.wait(self._live.values(), timeout=self._settings.drain_seconds)
        # A request on its way to a provider is waited for longest, and the step that waits for its answer with it: the
        # answer is worth money, and may hold the outputs themselves.
        await self._stepper.finish(_SEND_SECONDS)
        if self._live:
            _, late = await asyncio.wait(self._live.values(), timeout=_DELIVER_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1)

    async def _leave(self) -> None:
        if self._worker is not None:
            with suppress(Exception):
                await leases.leave(self._lease_engine, self._worker)
