"""What became of an attempt whose submit got no answer: the provider is asked, where it can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from server.generation.execution import store
from server.generation.execution.attempts import ACCEPTED, SEND_WITHIN_SECONDS, Attempts
from server.generation.execution.work import AttemptView, Work
from server.providers.protocol import Adapter, Fault, FaultKind, ProviderUnreachable
from server.runtime.fault_points import Point, reach

LOOKUP_AFTER = timedelta(seconds=20)
"""Before this, a worker that lives may still be waiting for the submit's answer and record the job itself."""
LOOKUP_GIVES_UP_AFTER = timedelta(seconds=40)
"""A provider that can list its jobs and still shows none after this never got the request."""
_NEVER_ARRIVED = Fault(
    FaultKind.PROVIDER,
    error_reason_pb2.ERROR_REASON_PROVIDER_SUBMIT_UNKNOWN,
    "The inference provider never received the request.",
)


class Looked(Enum):
    """What a lookup found."""

    FOUND = auto()
    """The job, which is on record now."""
    NEVER_ARRIVED = auto()
    """The provider lists its jobs and has none, so the attempt is over."""
    NOT_YET = auto()
    """Nothing that would be certain."""
    NEVER_KNOWN = auto()
    """The provider cannot be asked, nothing is on its way to us any more, and no report of it is expected."""


class Lookup:
    """Looks for the jobs of unanswered attempts."""

    def __init__(self, engine: AsyncEngine, attempts: Attempts) -> None:
        self._engine = engine
        self._attempts = attempts

    async def look_up(self, work: Work, attempt: AttemptView, adapter: Adapter | None) -> Looked:
        """Asks the provider once, when it is time to."""
        if adapter is None:
            return Looked.NOT_YET
        if not adapter.capabilities.lookup:
            return self._without_list(work, attempt, adapter)
        age = timedelta(seconds=work.age(attempt))
        if age < LOOKUP_AFTER:
            return Looked.NOT_YET
        job = self._attempts.job(work, attempt.id, adapter)
        # The adapter reads it by this machine's clock, which may be behind the database's.
        since = min(attempt.submitted_at, datetime.now(UTC) - age)
        try:
            refs = await adapter.find(job, since)
        except ProviderUnreachable:
            return Looked.NOT_YET
        if refs is None:
            return self._without_list(work, attempt, adapter)
        known = await store.known_jobs(self._engine, attempt.provider, [ref.job_id for ref in refs])
        unclaimed = [ref for ref in refs if ref.job_id not in known]
        if unclaimed:
            if await store.may_be_anothers(self._engine, attempt.id, work.model.identifier):
                return Looked.NOT_YET
            reach(Point.LOOKUP_FOUND)
            word = await self._attempts.accept(work, attempt.id, unclaimed[0])
            return Looked.FOUND if word in ACCEPTED else Looked.NOT_YET
        if age < LOOKUP_GIVES_UP_AFTER:
            return Looked.NOT_YET
        over = await self._attempts.give_up(work, attempt.id, _NEVER_ARRIVED)
        return Looked.NEVER_ARRIVED if over else Looked.FOUND

    def _without_list(self, work: Work, attempt: AttemptView, adapter: Adapter) -> Looked:
        if self._attempts.job(work, attempt.id, adapter).callback_url is not None:
            return Looked.NOT_YET
        # Its own worker says "unknown" once the call is over. Of one that died, the longest call is waited for: until
        # then that worker may only be cut off, and about to record an answer.
        if attempt.state == "submit_unknown" or work.age(attempt) > self._longest(work, adapter):
            return Looked.NEVER_KNOWN
        return Looked.NOT_YET

    @staticmethod
    def _longest(work: Work, adapter: Adapter) -> float:
        info = adapter.capabilities
        if info.delivery_method != "synchronous" and not info.lookup:
            return LOOKUP_GIVES_UP_AFTER.total_seconds()
        return SEND_WITHIN_SECONDS + work.model.attempt_seconds + LOOKUP_AFTER.total_seconds()
