"""One step of one claimed generation: look at what is recorded, do the next thing, say when to look again.

The record alone decides what is next, so a step may follow any crash. Nothing is held over a step but the lease.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import reason_of_code
from server.catalog import Catalog
from server.generation.execution.ambiguity import (
    NEVER_ANSWERED,
    AmbiguityPolicy,
    count_possible_duplicate,
)
from server.generation.execution.attempts import Attempts
from server.generation.execution.callback_address import CallbackAddresses
from server.generation.execution.costs import estimated_micros
from server.generation.execution.ending import Ending
from server.generation.execution.finishing import Discarded, Finishing, TooLate
from server.generation.execution.health import ProviderHealth
from server.generation.execution.inputs import Inputs
from server.generation.execution.loading import Loading
from server.generation.execution.lookup import Looked, Lookup
from server.generation.execution.next_step import Again, Next, Over
from server.generation.execution.outputs import Delivery
from server.generation.execution.persistence import insist
from server.generation.execution.store import Settlement
from server.generation.execution.winding import WindDown
from server.generation.execution.work import TERMINAL, AttemptView, Work
from server.providers.protocol import (
    Accepted,
    CanceledUpstream,
    CancelOutcome,
    Done,
    Failed,
    Fault,
    FaultKind,
    Finished,
    Lost,
    Pending,
    ProviderRef,
    ProviderUnreachable,
    Unknown,
    believed,
)
from server.providers.registry import Providers
from server.runtime.combiner import Combiner
from server.runtime.encryption import DataKeyGoneError
from server.runtime.fault_points import Point, reach
from server.runtime.leases import Job

_UNKNOWN_LOOK = 2.0
_RETRY_PAUSE = 2.0
_LONGEST_PAUSE = 5.0
_SLOWEST_POLLS = 3
"""Times a provider's shortest pause between polls: the longest pause, where that is longer than the usual one."""
_LONGEST_ASKED_PAUSE = 60.0
"""The longest pause that a provider can ask for."""
_NO_ROOM_PAUSE = 1.0
_SETTLING_IN_SECONDS = 10.0
"""A provider that does not know a job so soon after naming it may not have spread the word yet."""
_TOO_SLOW = Fault(
    FaultKind.PROVIDER,
    error_reason_pb2.ERROR_REASON_PROVIDER_TIMEOUT,
    "The inference provider did not finish in time and was stopped.",
)
_STOPPED_THERE = Fault(
    FaultKind.PROVIDER,
    error_reason_pb2.ERROR_REASON_PROVIDER_ERROR,
    "The inference provider stopped the job by itself.",
)
_NEVER_STORED = Fault(
    FaultKind.PROVIDER,
    error_reason_pb2.ERROR_REASON_OUTPUT_DOWNLOAD_FAILED,
    "The output was made and could not be stored in time.",
)


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
        health: ProviderHealth,
        callbacks: CallbackAddresses,
        ambiguity: AmbiguityPolicy,
        inputs: Inputs,
    ) -> None:
        self._loading = loading
        self._catalog = catalog
        self._providers = providers
        self._delivery = delivery
        self._health = health
        self._ambiguity = ambiguity
        self._inputs = inputs
        self._attempts = Attempts(engine, health, callbacks)
        self._lookup = Lookup(engine, self._attempts)
        self._finishing = Finishing(settlements, catalog, self._attempts, delivery, health)
        self._winding = WindDown(engine, self._attempts, self._lookup, providers, delivery)
        self._ending = Ending(engine, settlements, loading)
        self._stopping = False

    async def advance(self, job: Job) -> Next:
        """Does the next thing.

        Raises:
            JobLost: another worker has the job; nothing more may be done.
        """
        try:
            return await self._advance(job)
        finally:
            self._inputs.forget(job)

    async def _advance(self, job: Job) -> Next:
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

    def stop(self) -> None:
        """Begins no attempt any more: whoever stops would hang up before its answer."""
        self._stopping = True

    async def finish(self, seconds: float) -> None:
        """Waits for requests that are on their way to a provider; hangs up those that take longer."""
        await self._attempts.finish(seconds)

    async def _start_next(self, work: Work) -> Next:
        refused = work.refusal
        if refused is not None:
            # Of the record, not of this step: whoever follows a worker that died here must come to the same end.
            reason = (
                reason_of_code(refused.error_code or "") or error_reason_pb2.ERROR_REASON_ALL_PROVIDERS_FAILED
            )
            return await self._fail(work, reason, refused.error_message)
        if self._ambiguity.forbids(work):
            return await self._fail(work, NEVER_ANSWERED.reason)
        choice = self._health.choose(work)
        if choice is None:
            return await self._fail(work, error_reason_pb2.ERROR_REASON_ALL_PROVIDERS_FAILED)
        if work.overdue >= 0:
            return await self._fail(work, error_reason_pb2.ERROR_REASON_PROVIDER_TIMEOUT)
        if isinstance(choice, float):
            return Again(choice)
        inputs = await self._inputs.prepare(work)
        if inputs is None:
            return Again(_NO_ROOM_PAUSE)
        if isinstance(inputs, Fault):
            # No provider is called with a file that nobody can use.
            return await self._fail(work, inputs.reason, inputs.message)
        if inputs.took_time:
            work = await self._loading.reload(work)
            if work.state in TERMINAL or work.overdue >= 0:
                return Again(0)
        if self._stopping:
            return Again(0)
        outcome = await self._attempts.submit(work, choice, self._providers.get(choice.provider), inputs)
        match outcome:
            case None:
                return Again(0)
            case Accepted():
                return Again(max(self._catalog.provider(choice.provider).min_poll_seconds, 0.25))
            case Done(finished=finished):
                return await self._finish_now(work, finished)
            case Unknown():
                return Again(_UNKNOWN_LOOK if self._catalog.provider(choice.provider).lookup else 0)
            case Fault():
                return await self._after_fault(work)

    async def _finish_now(self, work: Work, finished: Finished) -> Next:
        """Delivers what a provider did while it was asked."""
        # Nothing of it can be asked for again, so a database that is away for a moment must not cost it.
        work = await insist(lambda: self._loading.reload(work))
        attempt = work.open_attempt
        if work.state in TERMINAL or attempt is None:
            return Again(0)
        reach(Point.POLL_FINISHED)
        return await self._finish(work, attempt, finished)

    async def _after_fault(self, work: Work) -> Next:
        """Fails over, or fails the generation when no other provider would do better."""
        reach(Point.ATTEMPT_OVER)
        work = await self._loading.reload(work)
        if work.state in TERMINAL:
            return Again(0)
        return await self._start_next(work)

    async def _resolve_unknown(self, work: Work, attempt: AttemptView) -> Next:
        adapter = self._providers.get(attempt.provider)
        looked = await self._lookup.look_up(work, attempt, adapter)
        match looked:
            case Looked.FOUND:
                return Again(0)
            case Looked.NEVER_ARRIVED:
                return await self._start_next(await self._loading.reload(work))
            case Looked.NOT_YET if work.overdue < 0:
                return Again(_UNKNOWN_LOOK)
            case Looked.NOT_YET | Looked.NEVER_KNOWN:
                # Whatever becomes of the job, it is ours to pay: the customer never pays twice.
                cost = estimated_micros(work, attempt)
                if not await self._attempts.give_up(
                    work, attempt.id, NEVER_ANSWERED, state="discarded", cost=cost
                ):
                    return Again(0)
                count_possible_duplicate(work, attempt.provider, cost)
                if looked is Looked.NOT_YET:
                    return await self._fail(await self._loading.reload(work), NEVER_ANSWERED.reason)
                return await self._after_fault(work)

    async def _follow(self, work: Work, attempt: AttemptView) -> Next:
        adapter = self._providers.get(attempt.provider)
        if adapter is None or attempt.ref is None:
            return await self._wait(work, attempt, Pending(_LONGEST_PAUSE))
        try:
            progress = await adapter.poll(attempt.ref)
        except ProviderUnreachable as error:
            return await self._wait(work, attempt, Pending(error.fault.retry_after or _LONGEST_PAUSE))
        if isinstance(progress, Lost) and work.age(attempt) < _SETTLING_IN_SECONDS:
            return Again(_RETRY_PAUSE)
        match believed(progress):
            case Pending() as pending:
                return await self._wait(work, attempt, pending)
            case Finished() as finished:
                reach(Point.POLL_FINISHED)
                return await self._finish(work, attempt, finished)
            case Lost(fault):
                # It took the job and may bill it; nothing of it can be had any more.
                self._health.failed(work, attempt.provider, fault)
                cost = estimated_micros(work, attempt)
                await self._attempts.fail(work, attempt.id, fault, state="discarded", cost=cost)
                await self._delivery.forget(work, attempt.id)
                return await self._after_fault(work)
            case Failed(fault, may_be_billed):
                self._health.failed(work, attempt.provider, fault)
                cost = estimated_micros(work, attempt) if may_be_billed else None
                await self._attempts.fail(work, attempt.id, fault, cost=cost)
                return await self._after_fault(work)
            case CanceledUpstream(may_be_billed):
                self._health.failed(work, attempt.provider, _STOPPED_THERE)
                cost = estimated_micros(work, attempt) if may_be_billed else None
                await self._attempts.fail(work, attempt.id, _STOPPED_THERE, state="canceled", cost=cost)
                return await self._after_fault(work)

    async def _wait(self, work: Work, attempt: AttemptView, pending: Pending) -> Next:
        """Looks again later; an attempt that is too slow gives way once the provider confirms that it stopped."""
        age = work.age(attempt)
        slow = age >= work.model.attempt_seconds
        if pending.ready is not None and (slow or work.overdue >= 0):
            ready = await self._cut_short(work, attempt, pending.ready, pending.rest)
            return await self._finish(work, attempt, ready)
        if work.overdue >= 0:
            self._health.failed(work, attempt.provider, _TOO_SLOW)
            return await self._give_up(work, attempt, _TOO_SLOW)
        # Where nobody would come after it, it has until the deadline.
        gives_way = slow and work.untried and not self._ambiguity.forbids(work)
        if gives_way and await self._stop(attempt, attempt.ref) is CancelOutcome.SENT_CONFIRMED:
            self._health.failed(work, attempt.provider, _TOO_SLOW)
            await self._attempts.fail(work, attempt.id, _TOO_SLOW, state="canceled")
            return await self._after_fault(work)
        least = self._catalog.provider(attempt.provider).min_poll_seconds
        usual = min(age * 0.1, max(_LONGEST_PAUSE, _SLOWEST_POLLS * least))
        pause = min(max(pending.retry_after, usual, least), _LONGEST_ASKED_PAUSE, -work.overdue)
        return Again(max(pause, 0.1))

    async def _cut_short(
        self, work: Work, attempt: AttemptView, ready: Finished, rest: ProviderRef | None
    ) -> Finished:
        """What is ready of several calls: the rest is stopped as best it can be, and may be billed where not."""
        if await self._stop(attempt, rest) is CancelOutcome.SENT_CONFIRMED:
            return ready
        return replace(ready, cost_micros=estimated_micros(work, attempt))

    async def _stop(self, attempt: AttemptView, ref: ProviderRef | None) -> CancelOutcome:
        """Asks the provider to stop an attempt's job, or some parts of it, as best it can be asked."""
        adapter = self._providers.get(attempt.provider)
        if adapter is None or ref is None:
            return CancelOutcome.NOT_SUPPORTED
        return await adapter.cancel(ref)

    async def _give_up(self, work: Work, attempt: AttemptView, fault: Fault, cost: int | None = None) -> Next:
        """Past the deadline: stops the provider's job, keeps its cost as ours, and fails the generation."""
        stopped = await self._stop(attempt, attempt.ref) is CancelOutcome.SENT_CONFIRMED
        reach(Point.DEADLINE_STOPPED)
        if cost is None and not stopped:
            cost = estimated_micros(work, attempt)
        state = "canceled" if stopped else "discarded"
        await self._attempts.fail(work, attempt.id, fault, state=state, cost=cost)
        await self._delivery.forget(work, attempt.id)
        return await self._fail(await self._loading.reload(work), fault.reason)

    async def _finish(self, work: Work, attempt: AttemptView, finished: Finished) -> Next:
        match await self._finishing.finish(work, attempt, finished):
            case Discarded():
                return await self._after_fault(work)
            case TooLate(cost):
                return await self._give_up(work, attempt, _NEVER_STORED, cost)
            case Again() | Over() as following:
                return following

    async def _fail(
        self, work: Work, reason: error_reason_pb2.ErrorReason.ValueType, message: str | None = None
    ) -> Next:
        await self._delivery.forget_ended(work)
        settled = await self._ending.fail(work.job, work.account_id, reason, message, work.provider_errors())
        return Over(finish=False) if settled else Again(0)
