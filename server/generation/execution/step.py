"""One step of one claimed generation: look at what is recorded, do the next thing, say when to look again.

The record alone decides what is next, so a step may follow any crash. Nothing is held over a step but the lease.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import reason_of_code
from server.catalog import Catalog
from server.generation.execution import store
from server.generation.execution.attempts import Attempts
from server.generation.execution.ending import Ending
from server.generation.execution.loading import Loading
from server.generation.execution.outputs import Delivered, Delivery
from server.generation.execution.store import Settlement
from server.generation.execution.winding import WindDown
from server.generation.execution.work import TERMINAL, AttemptView, Work
from server.generation.pricing import captured_micros
from server.generation.storage import StorageError
from server.providers.download import DownloadError, LocalStorageError
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
from server.runtime.encryption import DataKeyGoneError
from server.runtime.fault_points import Point, reach
from server.runtime.leases import Job

_UNKNOWN_LOOK = 2.0
_RETRY_PAUSE = 2.0
_LONGEST_PAUSE = 5.0
_LONGEST_STORAGE_PAUSE = 60.0
_STORAGE_GRACE_SECONDS = 900.0
"""How long after its deadline a finished job waits for our own storage before it is given up."""
_SETTLING_IN_SECONDS = 10.0
"""A provider that does not know a job so soon after naming it may not have spread the word yet."""


@dataclass(frozen=True, slots=True)
class Again:
    """Look again after so many seconds."""

    pause: float


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
    ) -> None:
        self._settlements = settlements
        self._loading = loading
        self._catalog = catalog
        self._providers = providers
        self._delivery = delivery
        self._attempts = Attempts(engine)
        self._winding = WindDown(engine, self._attempts, providers, delivery)
        self._ending = Ending(engine, settlements, loading)

    async def advance(self, job: Job) -> Next:
        """Does the next thing.

        Raises:
            JobLost: another worker has the job; nothing more may be done.
        """
        try:
            work = await self._loading.load(job)
        except DataKeyGoneError:
            await self._ending.abandon(job)
            return Over(finish=True)
        if work is None:
            return Over(finish=True)
        if work.state in TERMINAL:
            pause = await self._winding.advance(work)
            return Over(finish=True) if pause is None else Again(pause)
        attempt = work.open_attempt
        if attempt is None:
            return await self._start_next(work)
        if attempt.state == "accepted":
            return await self._follow(work, attempt)
        return await self._resolve_unknown(work, attempt)

    async def after_failure(self, job: Job) -> bool:
        """Called when `advance` raised: ends a generation whose deadline has passed, whatever keeps it from working.

        True when it ended.
        """
        return await self._ending.abandon(job, only_overdue=True)

    async def finish(self, seconds: float) -> None:
        """Waits for requests that are on their way to a provider."""
        await self._attempts.finish(seconds)

    async def _start_next(self, work: Work) -> Next:
        refused = work.refusal
        if refused is not None:
            # Of the record, not of this step: whoever follows a worker that died here must come to the same end.
            reason = (
                reason_of_code(refused.error_code or "") or error_reason_pb2.ERROR_REASON_ALL_PROVIDERS_FAILED
            )
            return await self._fail(work, reason, refused.error_message)
        provider = work.next_provider
        if provider is None:
            return await self._fail(work, error_reason_pb2.ERROR_REASON_ALL_PROVIDERS_FAILED)
        if work.overdue >= 0:
            return await self._fail(work, error_reason_pb2.ERROR_REASON_PROVIDER_TIMEOUT)
        outcome = await self._attempts.submit(work, provider, self._providers.get(provider))
        match outcome:
            case None:
                return Again(0)
            case Accepted():
                return Again(max(self._catalog.provider(provider).min_poll_seconds, 0.25))
            case Unknown():
                return Again(_UNKNOWN_LOOK)
            case Fault():
                return await self._after_fault(work)

    async def _after_fault(self, work: Work) -> Next:
        """Fails over, or fails the generation when no other provider would do better."""
        reach(Point.ATTEMPT_OVER)
        work = await self._loading.reload(work)
        if work.state in TERMINAL:
            return Again(0)
        return await self._start_next(work)

    async def _resolve_unknown(self, work: Work, attempt: AttemptView) -> Next:
        found = await self._attempts.look_up(work, attempt, self._providers.get(attempt.provider))
        if found is True:
            return Again(0)
        if found is False:
            return await self._start_next(await self._loading.reload(work))
        if work.overdue >= 0:
            # Whatever becomes of the job, it is ours to pay: the customer sees a failure and keeps the money.
            return await self._give_up(work, attempt, error_reason_pb2.ERROR_REASON_PROVIDER_SUBMIT_UNKNOWN)
        return Again(_UNKNOWN_LOOK)

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
                reach(Point.POLL_FINISHED)
                return await self._deliver(work, attempt, progress)
            case Lost() if work.age(attempt) < _SETTLING_IN_SECONDS:
                return Again(_RETRY_PAUSE)
            case Failed(fault) | Lost(fault):
                await self._attempts.fail(work, attempt.id, fault)
                return await self._after_fault(work)
            case CanceledUpstream():
                await self._attempts.end(work, attempt, "canceled")
                return await self._start_next(await self._loading.reload(work))

    async def _wait(self, work: Work, attempt: AttemptView, retry_after: float) -> Next:
        """Looks again later; an attempt that is too slow gives way once the provider confirms that it stopped."""
        if work.overdue >= 0:
            return await self._give_up(work, attempt, error_reason_pb2.ERROR_REASON_PROVIDER_TIMEOUT)
        age = work.age(attempt)
        if age >= work.model.attempt_seconds and await self._stop(attempt) is CancelOutcome.SENT_CONFIRMED:
            fault = Fault(
                FaultKind.PROVIDER,
                error_reason_pb2.ERROR_REASON_PROVIDER_TIMEOUT,
                "The inference provider did not finish in time and was stopped.",
            )
            await self._attempts.fail(work, attempt.id, fault, state="canceled")
            return await self._after_fault(work)
        return Again(max(min(max(retry_after, age * 0.1), _LONGEST_PAUSE), 0.1))

    async def _stop(self, attempt: AttemptView) -> CancelOutcome:
        """Asks the provider to stop, as best it can be asked."""
        adapter = self._providers.get(attempt.provider)
        if adapter is None or attempt.ref is None:
            return CancelOutcome.NOT_SUPPORTED
        return await adapter.cancel(attempt.ref)

    async def _give_up(
        self,
        work: Work,
        attempt: AttemptView,
        reason: error_reason_pb2.ErrorReason.ValueType,
        cost: int | None = None,
    ) -> Next:
        """Past the deadline: stops the provider's job, keeps its cost as ours, and fails the generation."""
        stopped = await self._stop(attempt) is CancelOutcome.SENT_CONFIRMED
        reach(Point.DEADLINE_STOPPED)
        await self._attempts.end(work, attempt, "canceled" if stopped else "discarded", cost)
        await self._delivery.forget(work, attempt.id)
        return await self._fail(await self._loading.reload(work), reason)

    async def _deliver(self, work: Work, attempt: AttemptView, finished: Finished) -> Next:
        try:
            delivered = await self._delivery.deliver(work, attempt, finished.outputs)
        except (StorageError, LocalStorageError):
            # Ours to mend: no other provider is paid for the same work meanwhile.
            if work.overdue >= _STORAGE_GRACE_SECONDS:
                reason = error_reason_pb2.ERROR_REASON_OUTPUT_DOWNLOAD_FAILED
                return await self._give_up(work, attempt, reason, finished.cost_micros)
            return Again(min(max(work.age(attempt) * 0.2, _RETRY_PAUSE), _LONGEST_STORAGE_PAUSE))
        except DownloadError as error:
            if error.retryable and work.age(attempt) < work.model.attempt_seconds:
                return Again(_RETRY_PAUSE)
            return await self._discard(work, attempt, finished, error.reason, error.sentence)
        return await self._succeed(work, attempt, finished, delivered)

    async def _discard(
        self,
        work: Work,
        attempt: AttemptView,
        finished: Finished,
        reason: error_reason_pb2.ErrorReason.ValueType,
        sentence: str,
    ) -> Next:
        """A job that finished, and may be billed, without anything that could be delivered."""
        fault = Fault(FaultKind.PROVIDER, reason, sentence)
        await self._attempts.fail(work, attempt.id, fault, state="discarded", cost=finished.cost_micros)
        await self._delivery.forget(work, attempt.id)
        return await self._after_fault(work)

    async def _succeed(
        self, work: Work, attempt: AttemptView, finished: Finished, delivered: Delivered
    ) -> Next:
        card = work.model.card_named(work.rate_card)
        capture = captured_micros(work.model, work.request, delivered.count, delivered.seconds, card)
        if capture == 0:
            return await self._discard(
                work,
                attempt,
                finished,
                error_reason_pb2.ERROR_REASON_PROVIDER_INVALID_RESPONSE,
                "The inference provider delivered nothing of what was asked.",
            )
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
                output_expires=work.now + timedelta(seconds=retention),
            ),
            work.account_id.int,
        )
        if word == "settled":
            return Over(finish=False)
        if word == "stale":
            # Another worker holds the job and fetches the outputs again; its files have names of the same attempt.
            raise store.JobLost
        # What the customer saw as canceled is never charged: the outputs go, the cost is ours.
        await self._attempts.end(work, attempt, "discarded", finished.cost_micros)
        await self._delivery.forget(work, attempt.id)
        return Over(finish=True)

    async def _fail(
        self, work: Work, reason: error_reason_pb2.ErrorReason.ValueType, message: str | None = None
    ) -> Next:
        settled = await self._ending.fail(work.job, work.account_id, reason, message, work.provider_errors())
        return Over(finish=False) if settled else Again(0)
