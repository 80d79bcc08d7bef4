"""All SQL of execution. Every write carries the job's fencing token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.generation import store as reading
from server.runtime.database import statement
from server.runtime.leases import Job

_LOAD = text(
    """
    select id, account_id, model, media, state, provider_order, prediction_id, price, rate_card, plan, request_ct, traceparent, created_at,
           deadline_at, clock_timestamp() as now
      from generation.generation where id = cast(:id as uuid)
    """
)
_BEGIN = text(
    "select generation.begin_chosen_attempt(cast(:id as uuid), cast(:token as bigint), cast(:attempt as uuid), cast(:ordinal as int),"
    " cast(:provider as text), cast(:postponed as text[]))"
)
_RECORD = text(
    """
    select generation.record_attempt(cast(:id as uuid), cast(:token as bigint), cast(:attempt as uuid), cast(:state as text),
      cast(:job_id as text), cast(:ref as jsonb), cast(:code as text), cast(:message as text), cast(:kind as text),
      cast(:cost as bigint), cast(:run_millis as bigint))
    """
)
_GIVE_UP = text(
    """
    select generation.give_up_attempt(cast(:id as uuid), cast(:token as bigint), cast(:attempt as uuid), cast(:state as text),
      cast(:code as text), cast(:message as text), cast(:kind as text), cast(:cost as bigint))
    """
)
_ACCEPTANCE = text(
    "select generation.record_acceptance(cast(:id as uuid), cast(:attempt as uuid), cast(:job_id as text), cast(:ref as jsonb))"
)
_CANCEL_SENT = text(
    "select generation.note_cancel_sent(cast(:id as uuid), cast(:token as bigint), cast(:attempt as uuid))"
)
_KNOWN_JOBS = text(
    """
    select j.id
      from unnest(cast(:ids as text[])) j(id)
     where exists (select 1 from generation.attempt a where a.provider = :provider and a.provider_job_id = j.id)
        or exists (select 1 from generation.attempt a
                    where a.provider = :provider and a.provider_ref ? 'parts'
                      and a.provider_ref -> 'parts' @> jsonb_build_array(jsonb_build_object('job_id', j.id)))
    """
)
_MAY_BE_ANOTHERS = text(
    """
    select exists (
      select 1 from generation.attempt a
        join generation.attempt o on o.provider = a.provider and o.state = 'submitting' and o.id <> a.id
        join generation.generation g on g.id = o.generation_id and g.model = :model
       where a.id = cast(:attempt as uuid) and o.submitted_at < a.submitted_at + interval '1 minute'
         and o.submitted_at > clock_timestamp() - interval '30 seconds')
    """
)
_SETTLE = text(
    """
    select word from generation.settle_many(cast(:id as uuid[]), cast(:token as bigint[]), cast(:state as text[]), cast(:capture as bigint[]),
      cast(:attempt as uuid[]), cast(:cost as bigint[]), cast(:run_millis as bigint[]), cast(:error_code as text[]),
      cast(:error_message as text[]), cast(:provider_errors as text[]), cast(:outputs as text[]), cast(:output_expires as timestamptz[]))
    """
)


class JobLost(Exception):  # noqa: N818 - a fact about the job, not a fault
    """The job is no longer ours: another worker has it, and nothing more may be written."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a generation ends; a position in the arrays of generation.settle_many."""

    id: UUID
    token: int
    state: str
    capture: int
    """Micro-dollars to take of the hold; 0 releases it."""
    attempt: UUID | None = None
    cost: int | None = None
    run_millis: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    provider_errors: str | None = None
    """JSON array."""
    outputs: str | None = None
    """JSON array."""
    output_expires: datetime | None = None


async def load(engine: AsyncEngine, generation_id: UUID) -> tuple[Row[Any], list[Row[Any]]] | None:
    """A generation and its attempts; None when it does not exist."""
    async with statement(engine) as connection:
        row = (await connection.execute(_LOAD, {"id": generation_id})).one_or_none()
        if row is None:
            return None
        return row, await reading.attempts(connection, [generation_id])


async def begin_attempt(
    engine: AsyncEngine,
    job: Job,
    attempt_id: UUID,
    ordinal: int,
    provider: str,
    postponed: Sequence[str] = (),
) -> bool:
    """Records an attempt before anything is sent; False when the generation has ended.

    `postponed` are providers that would have come first and were put off.

    Raises:
        JobLost: the job is no longer ours.
    """
    values = {
        "id": job.id,
        "token": job.token,
        "attempt": attempt_id,
        "ordinal": ordinal,
        "provider": provider,
        "postponed": list(postponed),
    }
    word = await _word_of(engine, _BEGIN, values)
    return word == "begun"


async def _word_of(engine: AsyncEngine, query: TextClause, values: Mapping[str, object]) -> str:
    async with statement(engine) as connection:
        word = str((await connection.execute(query, values)).scalar_one())
    if word == "stale":
        raise JobLost
    return word


async def record_attempt(
    engine: AsyncEngine,
    job: Job,
    attempt_id: UUID,
    state: str,
    *,
    job_id: str | None = None,
    ref: str | None = None,
    code: str | None = None,
    message: str | None = None,
    kind: str | None = None,
    cost: int | None = None,
    run_millis: int | None = None,
) -> None:
    """Records what became of an attempt; one that has ended stays as it is.

    Raises:
        JobLost: the job is no longer ours.
    """
    values = {
        "id": job.id,
        "token": job.token,
        "attempt": attempt_id,
        "state": state,
        "job_id": job_id,
        "ref": ref,
        "code": code,
        "message": message,
        "kind": kind,
        "cost": cost,
        "run_millis": run_millis,
    }
    await _word_of(engine, _RECORD, values)


async def give_up_attempt(
    engine: AsyncEngine,
    job: Job,
    attempt_id: UUID,
    state: str,
    *,
    code: str,
    message: str,
    kind: str,
    cost: int | None,
) -> bool:
    """Ends an attempt without an answer; False when its job has become known meanwhile, so that nothing was ended.

    Raises:
        JobLost: the job is no longer ours.
    """
    values = {
        "id": job.id,
        "token": job.token,
        "attempt": attempt_id,
        "state": state,
        "code": code,
        "message": message,
        "kind": kind,
        "cost": cost,
    }
    word = await _word_of(engine, _GIVE_UP, values)
    return word != "known"


async def record_acceptance(
    engine: AsyncEngine, generation_id: UUID, attempt_id: UUID, job_id: str, ref: str
) -> str:
    """Records the job that a provider named, whoever holds the generation's job by now.

    Answers with generation.record_acceptance's word; "ended" means that the provider's job must be stopped.
    """
    values = {"id": generation_id, "attempt": attempt_id, "job_id": job_id, "ref": ref}
    async with statement(engine) as connection:
        return str((await connection.execute(_ACCEPTANCE, values)).scalar_one())


async def note_cancel_sent(engine: AsyncEngine, job: Job, attempt_id: UUID) -> None:
    """Notes that a cancel reached the provider.

    Raises:
        JobLost: the job is no longer ours.
    """
    values = {"id": job.id, "token": job.token, "attempt": attempt_id}
    async with statement(engine) as connection:
        if not (await connection.execute(_CANCEL_SENT, values)).scalar_one():
            raise JobLost


async def known_jobs(engine: AsyncEngine, provider: str, job_ids: Sequence[str]) -> set[str]:
    """Which of a provider's job ids already belong to an attempt."""
    async with statement(engine) as connection:
        rows = await connection.execute(_KNOWN_JOBS, {"provider": provider, "ids": list(job_ids)})
        return {row.id for row in rows}


async def may_be_anothers(engine: AsyncEngine, attempt_id: UUID, model: str) -> bool:
    """Whether a job that nobody has on record may be the one of another attempt, whose submit is under way.

    Only attempts of the same minute and model are in question; after 30 seconds none of their calls goes on.
    """
    async with statement(engine) as connection:
        values = {"attempt": attempt_id, "model": model}
        return bool((await connection.execute(_MAY_BE_ANOTHERS, values)).scalar_one())


async def settle_many(engine: AsyncEngine, items: Sequence[Settlement]) -> list[str]:
    """Ends generations in one transaction and one round trip; words by position."""
    values: dict[str, Any] = {
        name: [getattr(item, name) for item in items] for name in Settlement.__dataclass_fields__
    }
    async with engine.connect() as connection:
        return [row.word for row in await connection.execute(_SETTLE, values)]
