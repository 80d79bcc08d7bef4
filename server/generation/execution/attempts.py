"""One provider attempt: recorded before it is sent, submitted once, its end put on record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import spec_of
from kit.ids import uuid7
from server.generation.execution import store
from server.generation.execution.callback_address import CallbackAddresses
from server.generation.execution.health import Choice, ProviderHealth
from server.generation.execution.inputs import HeldInputs
from server.generation.execution.persistence import insist
from server.generation.execution.work import AttemptView, Work
from server.providers import faults
from server.providers.protocol import (
    Accepted,
    Adapter,
    Done,
    Fault,
    FaultKind,
    InputFile,
    NotSent,
    ProviderRef,
    Refused,
    Submission,
    Unknown,
)
from server.providers.protocol import Job as ProviderJob
from server.providers.serving import why_not
from server.runtime.fault_points import Point, reach

SEND_WITHIN_SECONDS = 10.0
"""Later than this after its attempt began nothing is sent. With the longest call it stays below the time after which a
lookup gives up: a worker that stood still must not submit what others have given up, and perhaps had done elsewhere."""
_SHORTEST_CALL_SECONDS = 1.0
ACCEPTED = frozenset({"recorded", "known"})
"""Words of an acceptance with which the attempt goes on."""

_LATE = Fault(
    FaultKind.PROVIDER,
    error_reason_pb2.ERROR_REASON_PROVIDER_TIMEOUT,
    "The request could not be sent to the inference provider in time.",
)
_TAKEN = Fault(
    FaultKind.PROVIDER,
    error_reason_pb2.ERROR_REASON_PROVIDER_SUBMIT_UNKNOWN,
    "The job that the inference provider named belongs to an equal request.",
)
_NOT_WANTED = Fault(
    FaultKind.PROVIDER,
    error_reason_pb2.ERROR_REASON_PROVIDER_TIMEOUT,
    "The generation had ended before the request was sent.",
)
_NO_ACCOUNT = Fault(
    FaultKind.ACCOUNT,
    error_reason_pb2.ERROR_REASON_PROVIDER_CREDITS_EXHAUSTED,
    "This region has no account at the inference provider.",
)


class Attempts:
    """Makes attempts and records what became of them."""

    def __init__(
        self,
        engine: AsyncEngine,
        health: ProviderHealth,
        callbacks: CallbackAddresses,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._health = health
        self._callbacks = callbacks
        self._now = now
        self._sending: set[asyncio.Task[Fault | Accepted | Done | Unknown]] = set()

    async def submit(
        self, work: Work, choice: Choice, adapter: Adapter | None, inputs: HeldInputs
    ) -> Fault | Accepted | Done | Unknown | None:
        """Records an attempt and submits it, once, with these input files.

        Returns the fault when no job exists (the attempt is then over), Accepted, Done or Unknown when one does or may,
        and None when the generation ended before anything was sent.

        Raises:
            JobLost: the job is no longer ours; where that shows after the submit, the attempt stays `submitting` and
                its next holder treats it as unknown.
        """
        ordinal = len(work.attempts) + 1
        attempt_id = work.prediction_id if ordinal == 1 else uuid7()
        began = self._now()
        if not await self._begin(work, attempt_id, ordinal, choice):
            # It may be on record all the same, where the answer to a first try was lost and a cancel came before the next.
            await insist(lambda: self._record(work, attempt_id, "canceled", _NOT_WANTED))
            return None
        reach(Point.ATTEMPT_BEGUN)
        if adapter is None:
            return await self._unsent(work, attempt_id, _NO_ACCOUNT)
        unserved = why_not(work.model.provider(choice.provider), work.request)
        if unserved is not None:
            return await self._unsent(work, attempt_id, _unsupported(unserved))
        if self._now() - began > SEND_WITHIN_SECONDS:
            return await self._unsent(work, attempt_id, _LATE)
        # A task of its own: once the request is on its way, no cancellation may keep its answer off the record.
        inputs.hold()
        sending = asyncio.create_task(
            self._send(work, attempt_id, adapter, inputs.files), name=f"send {attempt_id}"
        )
        sending.add_done_callback(lambda _: inputs.release())
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        outcome = await asyncio.shield(sending)
        reach(Point.SUBMIT_RECORDED)
        return outcome

    async def finish(self, seconds: float) -> None:
        """Waits for requests that are on their way; those that take longer are hung up and recorded as unanswered."""
        if not self._sending:
            return
        _, late = await asyncio.wait(self._sending, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=5)

    def job(
        self, work: Work, attempt_id: UUID, adapter: Adapter, inputs: tuple[InputFile, ...] = ()
    ) -> ProviderJob:
        """What an adapter is told about an attempt of its provider."""
        info = adapter.capabilities
        return ProviderJob(
            attempt_id,
            work.request,
            work.model,
            work.model.provider(info.provider_id),
            outputs=work.request.output_number,
            seconds=max(min(float(work.model.attempt_seconds), -work.overdue), _SHORTEST_CALL_SECONDS),
            callback_url=self._callbacks.url(info.provider_id, attempt_id) if info.callbacks else None,
            callback_secret=self._callbacks.secret(attempt_id),
            inputs=inputs,
        )

    async def _unsent(self, work: Work, attempt_id: UUID, fault: Fault) -> Fault:
        # Left open, it would count as sent and never answered.
        await insist(lambda: self.fail(work, attempt_id, fault))
        return fault

    async def _begin(self, work: Work, attempt_id: UUID, ordinal: int, choice: Choice) -> bool:
        # Perhaps only the answer was lost, and an attempt that stays open counts as sent; the same one begins once.
        return await insist(
            lambda: store.begin_attempt(
                self._engine, work.job, attempt_id, ordinal, choice.provider, choice.postponed
            )
        )

    async def _send(
        self, work: Work, attempt_id: UUID, adapter: Adapter, inputs: tuple[InputFile, ...]
    ) -> Fault | Accepted | Done | Unknown:
        provider = adapter.capabilities.provider_id
        self._health.began(work, provider)
        outcome = await self._answer(adapter, self.job(work, attempt_id, adapter, inputs))
        reach(Point.SUBMIT_ANSWERED)
        match outcome:
            case Accepted(ref) | Done(ref):
                word = await insist(lambda: self.accept(work, attempt_id, ref))
                if word == "foreign":
                    # A lookup found it for another attempt that asked for the same, and that one delivers it.
                    await insist(lambda: self.fail(work, attempt_id, _TAKEN))
                    return _TAKEN
                if word not in ACCEPTED:
                    # The attempt was given up while its answer was on the way: nobody waits for this job.
                    await adapter.cancel(ref)
                    raise store.JobLost
                return outcome
            case Refused(fault) | NotSent(fault):
                self._health.failed(work, provider, fault)
                await insist(lambda: self.fail(work, attempt_id, fault))
                return fault
            case Unknown(fault):
                self._health.failed(work, provider, fault)
                await insist(lambda: self._record(work, attempt_id, "submit_unknown", fault))
                return outcome

    async def _answer(self, adapter: Adapter, job: ProviderJob) -> Submission:
        try:
            return await adapter.submit(job)
        except asyncio.CancelledError:
            # This worker ends. The call is hung up, so nothing of it can arrive here any more.
            return Unknown(faults.submit_unknown(adapter.capabilities.name))

    async def accept(self, work: Work, attempt_id: UUID, ref: ProviderRef) -> str:
        """Records the job that the provider named; the word of generation.record_acceptance."""
        return await store.record_acceptance(
            self._engine, work.generation_id, attempt_id, ref.job_id, ref.to_json()
        )

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

    async def give_up(
        self, work: Work, attempt_id: UUID, fault: Fault, *, state: str = "failed", cost: int | None = None
    ) -> bool:
        """As `fail`, for an attempt without an answer; False when its job has become known, so that it goes on."""
        return await store.give_up_attempt(
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


def _unsupported(sentence: str) -> Fault:
    return Fault(FaultKind.UNSUPPORTED, error_reason_pb2.ERROR_REASON_PROVIDER_UNAVAILABLE, sentence)
