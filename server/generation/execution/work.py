"""What a worker knows about the generation it holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from server.catalog import Model
from server.generation.request import GenerationRequest
from server.providers.protocol import FaultKind, ProviderRef
from server.runtime.leases import Job

TERMINAL = frozenset({"succeeded", "failed", "canceled"})
_POLICY_ALONE = {FaultKind.CONTENT_POLICY}


@dataclass(frozen=True, slots=True)
class AttemptView:
    """A stored provider attempt."""

    id: UUID
    ordinal: int
    provider: str
    state: str
    ref: ProviderRef | None
    submitted_at: datetime
    cancel_sent: bool
    resolved: bool
    error_code: str | None
    error_message: str | None
    error_kind: FaultKind | None
    cost_micros: int
    """What it costs us; 0 where nobody knows."""
    late: bool
    """Whether it is `discarded` because its job was finished after it had ended otherwise."""


@dataclass(frozen=True, slots=True)
class Work:
    """A claimed generation."""

    job: Job
    generation_id: UUID
    account_id: UUID
    model: Model
    request: GenerationRequest
    state: str
    provider_order: tuple[str, ...]
    prediction_id: UUID
    rate_card: str
    plan: str
    deadline_at: datetime
    now: datetime
    """When this was read, by the database's clock: every age and deadline is measured with it."""
    attempts: tuple[AttemptView, ...]

    @property
    def open_attempt(self) -> AttemptView | None:
        """The attempt that has not ended; there is at most one."""
        return next((attempt for attempt in self.attempts if not attempt.resolved), None)

    def age(self, attempt: AttemptView) -> float:
        """Seconds since an attempt began."""
        return (self.now - attempt.submitted_at).total_seconds()

    @property
    def overdue(self) -> float:
        """Seconds since the deadline; negative before it."""
        return (self.now - self.deadline_at).total_seconds()

    @property
    def refusal(self) -> AttemptView | None:
        """The attempt that ended by a fault of the request itself: no other provider would do better.

        What a provider's content policy refused counts only as long as the customer did not ask to try the others, or
        when there is no other left and every one said the same.
        """
        unanimous = not self.untried and {attempt.error_kind for attempt in self.attempts} == _POLICY_ALONE
        final = {FaultKind.REQUEST}
        if unanimous or not self.request.content_policy_failover:
            final.add(FaultKind.CONTENT_POLICY)
        return next((attempt for attempt in self.attempts if attempt.error_kind in final), None)

    @property
    def untried(self) -> tuple[str, ...]:
        """The providers of the order that were not tried, in its order."""
        tried = {attempt.provider for attempt in self.attempts}
        return tuple(provider for provider in self.provider_order if provider not in tried)

    def provider_errors(self) -> str:
        """What the failed providers answered, as the JSON array that the record keeps."""
        return json.dumps(
            [
                {"provider": attempt.provider, "code": attempt.error_code, "message": attempt.error_message}
                for attempt in self.attempts
                if attempt.error_code
            ]
        )


def attempt_view(row: Row[Any]) -> AttemptView:
    """A stored attempt."""
    return AttemptView(
        id=row.id,
        ordinal=row.ordinal,
        provider=row.provider,
        state=row.state,
        ref=None if row.provider_ref is None else ProviderRef.from_json(row.provider_ref),
        submitted_at=row.submitted_at,
        cancel_sent=row.cancel_sent_at is not None,
        resolved=row.resolved_at is not None,
        error_code=row.error_code,
        error_message=row.error_message,
        error_kind=None if row.error_kind is None else FaultKind(row.error_kind),
        cost_micros=row.cost_micros,
        late=row.late_at is not None,
    )


def work_of(
    job: Job, row: Row[Any], attempts: Sequence[Row[Any]], model: Model, request: GenerationRequest
) -> Work:
    """The work on a stored generation."""
    return Work(
        job=job,
        generation_id=row.id,
        account_id=row.account_id,
        model=model,
        request=request,
        state=row.state,
        provider_order=tuple(row.provider_order),
        prediction_id=row.prediction_id,
        rate_card=row.rate_card,
        plan=row.plan,
        deadline_at=row.deadline_at,
        now=row.now,
        attempts=tuple(attempt_view(attempt) for attempt in attempts),
    )
