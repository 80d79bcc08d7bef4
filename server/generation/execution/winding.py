"""Winding down: a generation that ended for its customer while a provider may still be at work on it."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from server.generation.execution import store
from server.generation.execution.attempts import Attempts
from server.generation.execution.costs import estimated_micros, finished_micros
from server.generation.execution.lookup import Looked, Lookup
from server.generation.execution.outputs import Delivery
from server.generation.execution.work import AttemptView, Work
from server.providers.protocol import (
    Adapter,
    CanceledUpstream,
    CancelOutcome,
    Failed,
    Finished,
    Lost,
    Pending,
    ProviderUnreachable,
    believed,
)
from server.providers.registry import Providers
from server.runtime.fault_points import Point, reach

_LOOK_SECONDS = 1.0


class WindDown:
    """Tells providers that a generation was canceled and books what they still bill."""

    def __init__(
        self,
        engine: AsyncEngine,
        attempts: Attempts,
        lookup: Lookup,
        providers: Providers,
        delivery: Delivery,
    ) -> None:
        self._engine = engine
        self._attempts = attempts
        self._lookup = lookup
        self._providers = providers
        self._delivery = delivery

    async def advance(self, work: Work) -> float | None:
        """Does the next thing; seconds until the next look, or None when nothing is left to do."""
        attempt = work.open_attempt
        if attempt is None:
            await self._delivery.forget_ended(work)
            return None
        pause = await self._look(work, attempt, self._providers.get(attempt.provider))
        if pause is None:
            # A worker may have stored files and died before it could settle.
            await self._delivery.forget(work, attempt.id)
        return pause

    async def _look(self, work: Work, attempt: AttemptView, adapter: Adapter | None) -> float | None:
        # Before the limit is looked at: a cancel is told once, however late.
        untold = adapter is not None and attempt.ref is not None and not attempt.cancel_sent
        if untold and adapter is not None and await self._tell(work, attempt, adapter):
            return None
        if adapter is None or work.overdue > work.model.attempt_seconds:
            await self._discard(work, attempt, estimated_micros(work, attempt))
            return None
        if attempt.state != "accepted" or attempt.ref is None:
            looked = await self._lookup.look_up(work, attempt, adapter)
            if looked is Looked.NEVER_KNOWN:
                await self._discard(work, attempt, estimated_micros(work, attempt))
            return None if looked in {Looked.NEVER_KNOWN, Looked.NEVER_ARRIVED} else _LOOK_SECONDS
        return await self._outcome(work, attempt, adapter)

    async def _tell(self, work: Work, attempt: AttemptView, adapter: Adapter) -> bool:
        """Sends the cancel; True when the provider confirms that the job is stopped."""
        if attempt.ref is None:
            return False
        outcome = await adapter.cancel(attempt.ref)
        reach(Point.CANCEL_TOLD)
        if outcome in {CancelOutcome.SENT_CONFIRMED, CancelOutcome.SENT_UNCONFIRMED}:
            await store.note_cancel_sent(self._engine, work.job, attempt.id)
        if outcome is not CancelOutcome.SENT_CONFIRMED:
            return False
        await self._attempts.end(work, attempt, "canceled")
        return True

    async def _outcome(self, work: Work, attempt: AttemptView, adapter: Adapter) -> float | None:
        if attempt.ref is None:
            return None
        try:
            progress = await adapter.poll(attempt.ref)
        except ProviderUnreachable as error:
            return max(error.fault.retry_after or 0.0, adapter.capabilities.min_poll_seconds, _LOOK_SECONDS)
        match believed(progress):
            case Pending(retry_after):
                return max(retry_after, _LOOK_SECONDS)
            case Finished() as finished:
                await self._discard(work, attempt, finished_micros(work, attempt.provider, finished))
            case Lost(fault):
                cost = estimated_micros(work, attempt)
                await self._attempts.fail(work, attempt.id, fault, state="discarded", cost=cost)
            case CanceledUpstream(may_be_billed):
                cost = estimated_micros(work, attempt) if may_be_billed else None
                await self._attempts.end(work, attempt, "canceled", cost)
            case Failed(fault, may_be_billed):
                cost = estimated_micros(work, attempt) if may_be_billed else None
                await self._attempts.fail(work, attempt.id, fault, cost=cost)
        return None

    async def _discard(self, work: Work, attempt: AttemptView, cost: int | None) -> None:
        await self._attempts.end(work, attempt, "discarded", cost)
