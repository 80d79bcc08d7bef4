"""Ending a generation as failed: the hold goes back, whatever kept the work from being done."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import spec_of
from server.generation.execution import store
from server.generation.execution.loading import Loading
from server.generation.execution.store import Settlement
from server.generation.execution.work import TERMINAL
from server.runtime.combiner import Combiner
from server.runtime.leases import Job


class Ending:
    """Settles failures."""

    def __init__(self, engine: AsyncEngine, settlements: Combiner[Settlement, str], loading: Loading) -> None:
        self._engine = engine
        self._settlements = settlements
        self._loading = loading

    async def fail(
        self,
        job: Job,
        account_id: UUID,
        reason: error_reason_pb2.ErrorReason.ValueType,
        message: str | None = None,
        provider_errors: str | None = None,
    ) -> bool:
        """Ends a generation as failed and releases its hold; False when it had ended otherwise.

        Raises:
            JobLost: the job is no longer ours.
        """
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
        return word == "settled"

    async def abandon(self, job: Job, *, only_overdue: bool = False) -> bool:
        """Ends a generation that cannot be worked on, without opening its request; True when it has ended.

        Args:
            job: the job.
            only_overdue: leave it alone before its deadline.
        """
        found = await self._loading.bare(job)
        if found is None:
            return True
        row, attempts = found
        if only_overdue and row.now < row.deadline_at:
            return False
        for attempt in attempts:
            if attempt.resolved_at is None:
                await store.record_attempt(self._engine, job, attempt.id, "discarded")
        if row.state not in TERMINAL:
            await self.fail(job, row.account_id, error_reason_pb2.ERROR_REASON_INTERNAL_ERROR)
        return True
