"""Winding down: a generation that ended for its customer while a provider may still be at work on it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from server.generation.execution import store
from server.generation.execution.attempts import Attempts
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
)
from server.providers.registry import Providers

_LOOK = timedelta(seconds=1)


class WindDown:
    """Tells providers that a generation was canceled and books what they still bill."""

    def __init__(self, engine: AsyncEngine, attempts: Attempts, providers: Providers) -> None:
        self._engine = engine
        self._attempts = attempts
        self._providers = providers

    async def advance(self, work: Work, now: datetime) -> datetime | None:
        """Does the next thing; when to look again, or None when nothing is left to do."""
        attempt = work.open_attempt
        if attempt is None:
            return None
        adapter = self._providers.get(attempt.provider)
        if now >= work.deadline_at or adapter is None:
            await self._attempts.end(work, attempt, "discarded")
            return None
        if attempt.state != "accepted" or attempt.ref is None:
            found = await self._attempts.look_up(work, attempt, adapter, now)
            return None if found is False else now + _LOOK
        if not attempt.cancel_sent and await self._tell(work, attempt, adapter):
            return None
        return await self._outcome(work, attempt, adapter, now)

    async def _tell(self, work: Work, attempt: AttemptView, adapter: Adapter) -> bool:
        """Sends the cancel; True when the provider confirms that the job is stopped."""
        if attempt.ref is None:
            return False
        outcome = await adapter.cancel(attempt.ref)
        if outcome in {CancelOutcome.SENT_CONFIRMED, CancelOutcome.SENT_UNCONFIRMED}:
            await store.note_cancel_sent(self._engine, work.job, attempt.id)
        if outcome is not CancelOutcome.SENT_CONFIRMED:
            return False
        await self._attempts.end(work, attempt, "canceled")
        return True

    async def _outcome(
        self, work: Work, attempt: AttemptView, adapter: Adapter, now: datetime
    ) -> datetime | None:
        if attempt.ref is None:
            return None
        try:
            progress = await adapter.poll(attempt.ref)
        except ProviderUnreachable:
            return now + _LOOK
        match progress:
            case Pending(retry_after):
                return now + timedelta(seconds=max(retry_after, _LOOK.total_seconds()))
            case Finished(cost_micros=cost):
                await self._attempts.end(work, attempt, "discarded", cost)
            case CanceledUpstream():
                await self._attempts.end(work, attempt, "canceled")
            case Failed(fault) | Lost(fault):
                await self._attempts.fail(work, attempt.id, fault)
        return None
