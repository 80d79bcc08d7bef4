"""One provider attempt: recorded before it is sent, submitted once, followed until it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import spec_of
from kit.ids import uuid7
from server.generation.execution import store
from server.generation.execution.persistence import DATABASE_ERRORS, insist
from server.generation.execution.work import AttemptView, Work
from server.providers.protocol import (
    Accepted,
    Adapter,
    Fault,
    FaultKind,
    NotSent,
    ProviderRef,
    ProviderUnreachable,
    Refused,
    Unknown,
)
from server.providers.protocol import Job as ProviderJob
from server.runtime.fault_points import Point, reach

LOOKUP_AFTER = timedelta(seconds=20)
"""Before this, a worker that lives may still be waiting for the submit's answer and record the job itself."""
LOOKUP_GIVES_UP_AFTER = timedelta(seconds=40)
"""A provider that can list its jobs and still shows none after this never got the request."""
SEND_WITHIN_SECONDS = 10.0
"""Later than this after its attempt began nothing is sent. With the longest call it stays below LOOKUP_GIVES_UP_AFTER: a
worker that stood still must not submit what others have given up, and perhaps had done elsewhere."""

_LATE = Fault(
    FaultKind.PROVIDER,
    error_reason_pb2.ERROR_REASON_PROVIDER_TIMEOUT,
    "The request could not be sent to the inference provider in time.",
)


class Attempts:
    """Makes attempts and records what became of them."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._now = now
        self._sending: set[asyncio.Task[Fault | Accepted | Unknown]] = set()

    async def submit(
        self, work: Work, provider: str, adapter: Adapter | None
    ) -> Fault | Accepted | Unknown | None:
        """Records an attempt and submits it, once.

        Returns the fault when no job exists (the attempt is then over), Accepted or Unknown when one does or may, and
        None when the generation ended before anything was sent.

        Raises:
            JobLost: the job is no longer ours; where that shows after the submit, the attempt stays `submitting` and
                its next holder treats it as unknown.
        """
        ordinal = len(work.attempts) + 1
        attempt_id = work.prediction_id if ordinal == 1 else uuid7()
        began = self._now()
        if not await self._begin(work, attempt_id, ordinal, provider):
            return None
        reach(Point.ATTEMPT_BEGUN)
        if adapter is None:
            fault = Fault(
                FaultKind.ACCOUNT,
                error_reason_pb2.ERROR_REASON_PROVIDER_CREDITS_EXHAUSTED,
                "This region has no account at the inference provider.",
            )
            await self.fail(work, attempt_id, fault)
            return fault
        if self._now() - began > SEND_WITHIN_SECONDS:
            await self.fail(work, attempt_id, _LATE)
            return _LATE
        # A task of its own: once the request is on its way, no cancellation may keep its answer off the record.
        sending = asyncio.create_task(
            self._send(work, attempt_id, provider, adapter), name=f"send {attempt_id}"
        )
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        outcome = await asyncio.shield(sending)
        reach(Point.SUBMIT_RECORDED)
        return outcome

    async def finish(self, seconds: float) -> None:
        """Waits for requests that are on their way, and for their answers to be on record."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=seconds)

    async def _begin(self, work: Work, attempt_id: UUID, ordinal: int, provider: str) -> bool:
        try:
            return await store.begin_attempt(self._engine, work.job, attempt_id, ordinal, provider)
        except DATABASE_ERRORS:
            # Perhaps only the answer was lost; the same attempt begins once.
            return await store.begin_attempt(self._engine, work.job, attempt_id, ordinal, provider)

    async def _send(
        self, work: Work, attempt_id: UUID, provider: str, adapter: Adapter
    ) -> Fault | Accepted | Unknown:
        job = ProviderJob(attempt_id, work.request, work.model, work.model.provider(provider))
        outcome = await adapter.submit(job)
        reach(Point.SUBMIT_ANSWERED)
        match outcome:
            case Accepted(ref):
                if not await insist(lambda: self.accept(work, attempt_id, ref)):
                    # The attempt was given up while its answer was on the way: nobody waits for this job.
                    await adapter.cancel(ref)
                    raise store.JobLost
                return outcome
            case Refused(fault) | NotSent(fault):
                await insist(lambda: self.fail(work, attempt_id, fault))
                return fault
            case Unknown(fault):
                await insist(lambda: self._record(work, attempt_id, "submit_unknown", fault))
                return outcome

    async def look_up(self, work: Work, attempt: AttemptView, adapter: Adapter | None) -> bool | None:
        """Looks for the job of an attempt whose submit got no answer.

        True: found and recorded. False: the provider lists its jobs and has none, so the attempt is over. None: not
        known yet.
        """
        age = timedelta(seconds=work.age(attempt))
        if adapter is None or age < LOOKUP_AFTER:
            return None
        job = ProviderJob(attempt.id, work.request, work.model, work.model.provider(attempt.provider))
        try:
            refs = await adapter.find(job, attempt.submitted_at)
        except ProviderUnreachable:
            return None
        if refs is None:
            return None
        known = await store.known_jobs(self._engine, attempt.provider, [ref.job_id for ref in refs])
        unclaimed = [ref for ref in refs if ref.job_id not in known]
        if unclaimed:
            reach(Point.LOOKUP_FOUND)
            return True if await self.accept(work, attempt.id, unclaimed[0]) else None
        if age < LOOKUP_GIVES_UP_AFTER:
            return None
        await self.fail(
            work,
            attempt.id,
            Fault(
                FaultKind.PROVIDER,
                error_reason_pb2.ERROR_REASON_PROVIDER_SUBMIT_UNKNOWN,
                "The inference provider never received the request.",
            ),
        )
        return False

    async def accept(self, work: Work, attempt_id: UUID, ref: ProviderRef) -> bool:
        """Records the job that the provider named; False when the attempt is over and the job must be stopped."""
        word = await store.record_acceptance(
            self._engine, work.generation_id, attempt_id, ref.job_id, ref.to_json()
        )
        return word in {"recorded", "known"}

    async def fail(
        self, work: Work, attempt_id: UUID, fault: Fault, *, state: str = "failed", cost: int | None = None
    ) -> None:
        """Records that an attempt ended without an output for the customer; its cost, where known, is ours to bear."""
        await self._record(work, attempt_id, state, fault, cost)

    async def _record(
        self, work: Work, attempt_id: UUID, state: str, fault: Fault, cost: int | None = None
    ) -> None:
        await store.record_attempt(
            self._engine,
            work.job,
            attempt_id,
            state,
            code=spec_of(fault.reason).bse_code,
            message=fault.message,
            kind=fault.kind.value,
            cost=cost,
        )

    async def end(self, work: Work, attempt: AttemptView, state: str, cost: int | None = None) -> None:
        """Records that an attempt was `canceled` or `discarded`; its cost, where known, is ours to bear."""
        await store.record_attempt(self._engine, work.job, attempt.id, state, cost=cost)
