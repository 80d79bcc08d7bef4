"""Timelines: what became of a generation, step by step, from its events and its attempts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import generation_pb2, timeline_pb2
from kit.errors import BabySeaError
from server.generation import store
from server.generation.records import ATTEMPT_STATES, provider_error
from server.runtime.database import tenant_transaction

_STATES = {
    "generation.accepted": generation_pb2.STATE_PENDING,
    "generation.started": generation_pb2.STATE_PROCESSING,
    "generation.completed": generation_pb2.STATE_SUCCEEDED,
    "generation.failed": generation_pb2.STATE_FAILED,
    "generation.canceled": generation_pb2.STATE_CANCELED,
}
"""Events that are changes of the generation's state; the others repeat what the attempts say."""

_DECISIONS = {
    "provider.excluded": timeline_pb2.DECISION_KIND_EXCLUDED,
    "provider.postponed": timeline_pb2.DECISION_KIND_POSTPONED,
}
"""Events that are decisions about one provider."""

# What comes first of things that one transaction wrote with one time.
_FIRST, _DECIDED, _STATE, _ATTEMPT, _LAST = range(5)

_Placed = tuple[datetime, int, int, timeline_pb2.TimelineEntry]


class Timelines:
    """Tells what became of generations."""

    def __init__(self, app: AsyncEngine) -> None:
        self._app = app

    async def timeline(self, account_id: UUID, generation_id: UUID) -> list[timeline_pb2.TimelineEntry]:
        """Every state change, attempt and decision, oldest first.

        Raises:
            BabySeaError: GENERATION_NOT_FOUND, the same for a foreign id and for one that never was.
        """
        async with tenant_transaction(self._app, account_id) as connection:
            row = await store.get(connection, generation_id)
            if row is None:
                raise BabySeaError(error_reason_pb2.ERROR_REASON_GENERATION_NOT_FOUND)
            events = await store.timeline_events(connection, generation_id)
            attempts = await store.attempts(connection, [generation_id])
        placed = [*_states(row, events), *_attempts(attempts)]
        return [entry for *_, entry in sorted(placed, key=lambda each: each[:3])]


def _states(row: Row[Any], events: Iterable[Row[Any]]) -> Iterator[_Placed]:
    order = timeline_pb2.Decision(
        kind=timeline_pb2.DECISION_KIND_ORDER_PLANNED, providers=list(row.provider_order)
    )
    for event in events:
        kind = _DECISIONS.get(event.type)
        if kind is not None:
            decided = timeline_pb2.Decision(kind=kind, providers=[event.provider or ""])
            yield _placed(event.occurred_at, _DECIDED, 0, decision=decided)
        state = _STATES.get(event.type)
        if state is None:
            continue
        change = timeline_pb2.StateChange(state=state)
        if state in {generation_pb2.STATE_PENDING, generation_pb2.STATE_SUCCEEDED}:
            change.amount_micros = event.amount_micros or 0
        if state == generation_pb2.STATE_SUCCEEDED:
            change.provider = event.provider or ""
        if state == generation_pb2.STATE_FAILED:
            change.error_code = event.error_code or ""
        rank = {generation_pb2.STATE_PENDING: _FIRST, generation_pb2.STATE_PROCESSING: _STATE}.get(
            state, _LAST
        )
        yield _placed(event.occurred_at, rank, 0, state=change)
        if state == generation_pb2.STATE_PENDING:
            yield _placed(event.occurred_at, _DECIDED, 0, decision=order)


def _attempts(attempts: Iterable[Row[Any]]) -> Iterator[_Placed]:
    before: Row[Any] | None = None
    for attempt in attempts:
        yield _placed(
            attempt.submitted_at, _DECIDED, attempt.ordinal, decision=_chosen(attempt.provider, before)
        )
        moments = (
            ("submitting", attempt.submitted_at),
            ("submit_unknown", attempt.unknown_at),
            ("accepted", attempt.accepted_at),
            (attempt.ended_as or attempt.state, attempt.resolved_at),
            (attempt.state, attempt.late_at),
        )
        for state, at in moments:
            if at is not None:
                ended = attempt if at is attempt.resolved_at else None
                yield _placed(at, _ATTEMPT, attempt.ordinal, attempt=_change(attempt, state, ended))
        if attempt.cancel_sent_at is not None:
            told = timeline_pb2.Decision(
                kind=timeline_pb2.DECISION_KIND_CANCEL_SENT, providers=[attempt.provider]
            )
            yield _placed(attempt.cancel_sent_at, _DECIDED, attempt.ordinal, decision=told)
        before = attempt


def _chosen(provider: str, before: Row[Any] | None) -> timeline_pb2.Decision:
    if before is None or before.provider == provider:
        return timeline_pb2.Decision(kind=timeline_pb2.DECISION_KIND_PROVIDER_CHOSEN, providers=[provider])
    return timeline_pb2.Decision(
        kind=timeline_pb2.DECISION_KIND_FAILED_OVER,
        providers=[provider],
        cause_code=before.error_code or "",
    )


def _change(attempt: Row[Any], state: str, ended: Row[Any] | None) -> timeline_pb2.AttemptChange:
    change = timeline_pb2.AttemptChange(
        attempt_id=str(attempt.id),
        ordinal=attempt.ordinal,
        provider=attempt.provider,
        state=ATTEMPT_STATES[state],
    )
    unanswered = state == "submit_unknown" and attempt.state == "submit_unknown"
    if (ended is not None or unanswered) and attempt.error_code:
        stored = {
            "provider": attempt.provider,
            "code": attempt.error_code,
            "message": attempt.error_message,
        }
        change.error.CopyFrom(provider_error(stored))
    return change


def _placed(
    at: datetime,
    rank: int,
    ordinal: int,
    *,
    state: timeline_pb2.StateChange | None = None,
    attempt: timeline_pb2.AttemptChange | None = None,
    decision: timeline_pb2.Decision | None = None,
) -> _Placed:
    entry = timeline_pb2.TimelineEntry(state=state, attempt=attempt, decision=decision)
    entry.at.FromDatetime(at)
    return at, rank, ordinal, entry
