"""One step of one claimed generation: look at what is recorded, do the next thing, say when to look again.

The record alone decides what is next, so a step may follow any crash. Nothing is held over a step but the lease.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.clock import Clock
from kit.errors import spec_of
from server.catalog import Catalog
from server.generation.execution import store
from server.generation.execution.attempts import Attempts
from server.generation.execution.loading import Loading
from server.generation.execution.outputs import Delivered, Delivery
from server.generation.execution.store import Settlement
from server.generation.execution.winding import WindDown
from server.generation.execution.work import TERMINAL, AttemptView, Work
from server.generation.pricing import captured_micros
from server.generation.storage import StorageError
from server.providers.download import DownloadError
from server.providers.protocol import (
    Accepted,
    CanceledUpstream,
    CancelOutcome,
    Failed,
    Fault,
    FaultKind,
    Finished,
    Lost,
    Pending,
    ProviderUnreachable,
    Unknown,
)
from server.providers.registry import Providers
from server.runtime.combiner import Combiner
from server.runtime.encryption import DataKeyGoneError, DecryptionError
from server.runtime.leases import Job

_REQUEST_FAULTS = frozenset({FaultKind.REQUEST, FaultKind.CONTENT_POLICY})
_UNKNOWN_LOOK = timedelta(seconds=2)
_UNREADABLE_LOOK = timedelta(seconds=60)
_STORAGE_PAUSE = timedelta(seconds=2)
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Again:
    """Look again at a time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Over:
    """The job has ended; `finish` says whether its row still stands."""

    finish: bool


Next = Again | Over


class Stepper:
    """Advances claimed generations."""

    def __init__(
        self,
        engine: AsyncEngine,
        settlements: Combiner[Settlement, str],
        loading: Loading,
        catalog: Catalog,
        providers: Providers,
        delivery: Delivery,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._settlements = settlements
        self._loading = loading
        self._catalog = catalog
        self._providers = providers
        self._delivery = delivery
        self._clock = clock
        self._attempts = Attempts(engine)
        self._winding = WindDown(engine, self._attempts, providers)

    async def advance(self, job: Job) -> Next:
        """Does the next thing.

        Raises:
            JobLost: another worker has the job; nothing more may be done.
        """
        try:
            work = await self._loading.load(job)
        except DecryptionError as error:
            return await self._abandon(job, gone=isinstance(error, DataKeyGoneError))
        if work is None:
            return Over(finish=True)
        if work.state in TERMINAL:
            again = await self._winding.advance(work, self._clock.now())
            return Over(finish=True) if again is None else Again(again)
        attempt = work.open_attempt
        if attempt is None:
            return await self._start_next(work)
        if attempt.state == "accepted":
            return await self._follow(work, attempt)
        return await self._resolve_unknown(work, attempt)

    async def _abandon(self, job: Job, *, gone: bool) -> Next:
        """Ends a generation that cannot be read: at once when its data key is gone, else at its deadline."""
        found = await self._loading.bare(job)
        if found is None:
            return Over(finish=True)
        row, attempts = found
        now = self._clock.now()
        if not gone and now < row.deadline_at:
            return Again(now + _UNREADABLE_LOOK)
        for attempt in attempts:
            if attempt.resolved_at is None:
                await store.record_attempt(self._engine, job, attempt.id, "discarded")
        if row.state in TERMINAL:
            return Over(finish=True)
        return await self._settle_failed(
            job, row.account_id, error_reason_pb2.ERROR_REASON_INTERNAL_ERROR, None, None
        )

    async def _start_next(self, work: Work) -> Next:
        provider = work.next_provider
        now = self._clock.now()
        if provider is None:
            return await self._fail(work, error_reason_pb2.ERROR_REASON_ALL_PROVIDERS_FAILED)
        if now >= work.deadline_at:
            return await self._fail(work, error_reason_pb2.ERROR_REASON_PROVIDER_TIMEOUT)
        outcome = await self._attempts.submit(work, provider, self._providers.get(provider))
        match outcome:
            case None:
                return Again(now)
            case Accepted():
                first_look = self._catalog.provider(provider).min_poll_seconds
                return Again(now + timedelta(seconds=max(first_look, 0.25)))
            case Unknown():
                return Again(now + _UNKNOWN_LOOK)
            case Fault():
                return await self._after_fault(work, outcome)

    async def _after_fault(self, work: Work, fault: Fault) -> Next:
        """Fails over, or fails the generation when no other provider would do better."""
        work = await self._loading.reload(work)
        if work.state in TERMINAL:
            return Again(self._clock.now())
        if fault.kind in _REQUEST_FAULTS:
            return await self._fail(work, fault.reason, fault.message)
        return await self._start_next(work)

    async def _resolve_unknown(self, work: Work, attempt: AttemptView) -> Next:
        now = self._clock.now()
        adapter = self._providers.get(attempt.provider)
        found = await self._attempts.look_up(work, attempt, adapter, now)
        if found is True:
            return Again(now)
        if found is False:
            return await self._start_next(await self._loading.reload(work))
        if now >= work.deadline_at:
            # Whatever becomes of the job, it is ours to pay: the customer sees a failure and keeps the money.
            await self._attempts.end(work, attempt, "discarded")
            return await self._fail(
                await self._loading.reload(work), error_reason_pb2.ERROR_REASON_PROVIDER_SUBMIT_UNKNOWN
            )
        return Again(now + _UNKNOWN_LOOK)

    async def _follow(self, work: Work, attempt: AttemptView) -> Next:
        adapter = self._providers.get(attempt.provider)
        if adapter is None or attempt.ref is None:
            return await self._wait(work, attempt, _LONGEST_PAUSE)
        try:
            progress = await adapter.poll(attempt.ref)
        except ProviderUnreachable:
            return await self._wait(work, attempt, _LONGEST_PAUSE)
        match progress:
            case Pending(retry_after):
                return await self._wait(work, attempt, retry_after)
            case Finished():
                return await self._deliver(work, attempt, progress)
            case Failed(fault) | Lost(fault):
                await self._attempts.fail(work, attempt.id, fault)
                return await self._after_fault(work, fault)
            case CanceledUpstream():
                await self._attempts.end(work, attempt, "canceled")
                return await self._start_next(await self._loading.reload(work))

    async def _wait(self, work: Work, attempt: AttemptView, retry_after: float) -> Next:
        """Looks again later; an attempt that is too slow gives way once the provider confirms that it stopped."""
        now = self._clock.now()
        age = (now - attempt.submitted_at).total_seconds()
        if now >= work.deadline_at:
            await self._attempts.end(work, attempt, "discarded")
            return await self._fail(
                await self._loading.reload(work), error_reason_pb2.ERROR_REASON_PROVIDER_TIMEOUT
            )
        adapter = self._providers.get(attempt.provider)
        if (
            age >= work.model.attempt_seconds
            and adapter is not None
            and attempt.ref is not None
            and await adapter.cancel(attempt.ref) is CancelOutcome.SENT_CONFIRMED
        ):
            fault = Fault(
                FaultKind.PROVIDER,
                error_reason_pb2.ERROR_REASON_PROVIDER_TIMEOUT,
                "The inference provider did not finish in time and was stopped.",
            )
            await self._attempts.fail(work, attempt.id, fault, state="canceled")
            return await self._after_fault(work, fault)
        pause = min(max(retry_after, age * 0.1), _LONGEST_PAUSE)
        return Again(now + timedelta(seconds=max(pause, 0.1)))

    async def _deliver(self, work: Work, attempt: AttemptView, finished: Finished) -> Next:
        try:
            delivered = await self._delivery.deliver(work, attempt, finished.outputs)
        except StorageError:
            return Again(self._clock.now() + _STORAGE_PAUSE)
        except DownloadError as error:
            age = (self._clock.now() - attempt.submitted_at).total_seconds()
            if error.retryable and age < work.model.attempt_seconds:
                return Again(self._clock.now() + _STORAGE_PAUSE)
            fault = Fault(FaultKind.PROVIDER, error.reason, error.sentence)
            await self._attempts.fail(work, attempt.id, fault)
            return await self._after_fault(work, fault)
        return await self._succeed(work, attempt, finished, delivered)

    async def _succeed(
        self, work: Work, attempt: AttemptView, finished: Finished, delivered: Delivered
    ) -> Next:
        card = work.model.card_named(work.rate_card)
        capture = captured_micros(work.model, work.request, delivered.count, delivered.seconds, card)
        if capture == 0:
            fault = Fault(
                FaultKind.PROVIDER,
                error_reason_pb2.ERROR_REASON_PROVIDER_INVALID_RESPONSE,
                "The inference provider delivered nothing of what was asked.",
            )
            await self._attempts.fail(work, attempt.id, fault)
            return await self._after_fault(work, fault)
        retention = self._catalog.plan(work.plan).retention.output_files
        run_seconds = finished.run_seconds
        word = await self._settlements.submit(
            Settlement(
                id=work.generation_id,
                token=work.job.token,
                state="succeeded",
                capture=capture,
                attempt=attempt.id,
                cost=finished.cost_micros,
                run_millis=None if run_seconds is None else round(run_seconds * 1000),
                provider_errors=work.provider_errors(),
                outputs=delivered.outputs_json,
                output_expires=self._clock.now() + timedelta(seconds=retention),
            ),
            work.account_id.int,
        )
        if word == "settled":
            return Over(finish=False)
        if word == "stale":
            # Another worker holds the job and fetches the outputs again; its files have names of the same attempt.
            raise store.JobLost
        # What the customer saw as canceled is never charged: the outputs go, the cost is ours.
        await self._delivery.forget(delivered)
        await self._attempts.end(work, attempt, "discarded", finished.cost_micros)
        return Over(finish=True)

    async def _fail(
        self,
        work: Work,
        reason: error_reason_pb2.ErrorReason.ValueType,
        message: str | None = None,
    ) -> Next:
        return await self._settle_failed(work.job, work.account_id, reason, message, work.provider_errors())

    async def _settle_failed(
        self,
        job: Job,
        account_id: UUID,
        reason: error_reason_pb2.ErrorReason.ValueType,
        message: str | None,
        provider_errors: str | None,
    ) -> Next:
        spec = spec_of(reason)
        word = await self._settlements.submit(
            Settlement(
                id=job.id,
                token=job.token,
                state="failed",
                capture=0,
                error_code=spec.bse_code,
                error_message=message or spec.title,
                provider_errors=provider_errors,
            ),
            account_id.int,
        )
        if word == "stale":
            raise store.JobLost
        return Over(finish=False) if word == "settled" else Again(self._clock.now())
