"""All SQL of generations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.runtime.database import statement

_ADMIT = text(
    """
    select word, generation_id, available, decided_at, strict
      from generation.admit_many(cast(:account as uuid[]), cast(:id as uuid[]), cast(:api_key as uuid[]), cast(:key as bytea[]),
        cast(:fingerprint as bytea[]), cast(:amount as bigint[]), cast(:rate_card as text[]), cast(:deadline as timestamptz[]),
        cast(:plan as text[]), cast(:model as text[]), cast(:media as text[]), cast(:provider_order as text[]),
        cast(:prediction as uuid[]), cast(:request as bytea[]), cast(:trace as text[]), cast(:resident_order as text[]))
    """
)
_CANCEL = text(
    "select word, running from generation.cancel_many(cast(:accounts as uuid[]), cast(:ids as uuid[]))"
)
_DELETE = text(
    "select word, files from generation.delete_generation(cast(:account as uuid), cast(:id as uuid))"
)
_TAKE_REMOVALS = text(
    """
    select generation_id, account_id, sweeps
      from generation.take_removals(cast(:limit as int), make_interval(secs => cast(:lease as double precision)))
    """
)
_NOTE_REMOVED = text(
    "select generation.note_removed(cast(:id as uuid), make_interval(secs => cast(:again as double precision)))"
)
_MARKS = text(
    """
    select g.id, g.version, g.deleted_at is not null as deleted,
           (select string_agg(a.state, ',' order by a.ordinal) from generation.attempt a where a.generation_id = g.id) as attempts
      from generation.generation g where g.id = any (cast(:ids as uuid[]))
    """
)
_KEY_STANDS = text(
    """
    select exists (select 1 from keys.api_key k where k.id = cast(:id as uuid) and (k.revoked_at is null or k.revoked_at > now())
                      and (k.expires_at is null or k.expires_at > now()))
    """
)
_TIMELINE_EVENTS = text(
    "select type, occurred_at, provider, error_code, amount_micros from generation.timeline_events(cast(:id as uuid))"
)
_COLUMNS = """
    id, account_id, model, media, state, provider_order, provider_used, prediction_id, price, charged, plan, request_ct,
    error_code, error_message, provider_errors::text as provider_errors, created_at, started_at, completed_at, deadline_at, output_expires_at,
    removed_at
"""
_GET = text(f"select {_COLUMNS} from generation.generation where id = cast(:id as uuid)")  # noqa: S608
_LIST = text(
    f"""
    select {_COLUMNS} from generation.generation
     where account_id = cast(:account as uuid)
       and (cast(:before as timestamptz) is null or (created_at, id) < (cast(:before as timestamptz), cast(:before_id as uuid)))
     order by created_at desc, id desc
     limit :size offset :skip
    """  # noqa: S608
)
_COUNT = text("select count(*) from generation.generation where account_id = cast(:account as uuid)")
_ATTEMPTS = text(
    """
    select id, generation_id, ordinal, provider, state, provider_job_id, provider_ref::text as provider_ref, error_code, error_message, error_kind,
           cost_micros, submitted_at, unknown_at, accepted_at, cancel_sent_at, resolved_at, ended_as, late_at, run_millis
      from generation.attempt where generation_id = any (cast(:ids as uuid[])) order by generation_id, ordinal
    """
)
_OUTPUTS = text(
    """
    select generation_id, ordinal, content_type, size_bytes, sha256
      from generation.output where generation_id = any (cast(:ids as uuid[])) order by generation_id, ordinal
    """
)
_FILE = text(
    "select storage_key, content_type, size_bytes, sha256 from generation.find_file(cast(:id as uuid), cast(:ordinal as int))"
)
_REPORTER = text("select provider, model from generation.reporter_of(cast(:attempt as uuid))")


@dataclass(frozen=True, slots=True)
class Admission:
    """One request to admit; a position in the arrays of generation.admit_many."""

    account: UUID
    id: UUID
    api_key: UUID | None
    key: bytes | None
    fingerprint: bytes
    amount: int
    rate_card: str
    deadline: datetime
    plan: str
    model: str
    media: str
    provider_order: str
    prediction: UUID
    request: bytes
    trace: str
    resident_order: str = ""
    """What is left of the order under strict residency; empty when nobody is, and then a strict account is refused."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What generation.admit_many said about one request."""

    word: str
    generation_id: UUID | None
    available: int | None
    decided_at: datetime
    strict: bool
    """Whether the account's residency was strict, and the order with it."""


async def admit_many(engine: AsyncEngine, items: Sequence[Admission]) -> list[Verdict]:
    """Admits requests in one transaction and one round trip; verdicts by position."""
    values: dict[str, Any] = {
        name: [getattr(item, name) for item in items] for name in Admission.__dataclass_fields__
    }
    async with engine.connect() as connection:
        rows = await connection.execute(_ADMIT, values)
        return [
            Verdict(row.word, row.generation_id, row.available, row.decided_at, row.strict) for row in rows
        ]


async def cancel(engine: AsyncEngine, account_id: UUID, generation_id: UUID) -> tuple[str, bool]:
    """Cancels one generation: the word, and whether a provider may still be at work."""
    async with engine.connect() as connection:
        row = (await connection.execute(_CANCEL, {"accounts": [account_id], "ids": [generation_id]})).one()
        return row.word, row.running


async def delete(engine: AsyncEngine, account_id: UUID, generation_id: UUID) -> tuple[str, int]:
    """Deletes one generation: the word, and how many files it had."""
    async with engine.connect() as connection:
        row = (await connection.execute(_DELETE, {"account": account_id, "id": generation_id})).one()
        return row.word, row.files


async def take_removals(engine: AsyncEngine, limit: int, lease_seconds: float) -> list[Row[Any]]:
    """Deleted generations whose files may be removed now, ours for so long."""
    with suppress_instrumentation():
        async with statement(engine) as connection:
            return list(await connection.execute(_TAKE_REMOVALS, {"limit": limit, "lease": lease_seconds}))


async def note_removed(engine: AsyncEngine, generation_id: UUID, again_seconds: float) -> str:
    """Notes that a deleted generation's files were removed: "again" for the first time, then "done"."""
    async with statement(engine) as connection:
        values = {"id": generation_id, "again": again_seconds}
        return str((await connection.execute(_NOTE_REMOVED, values)).scalar_one())


async def marks(engine: AsyncEngine, generation_ids: Sequence[UUID]) -> dict[UUID, tuple[object, ...]]:
    """What differs after each change of a generation; generations that are not there are left out."""
    async with statement(engine) as connection:
        rows = await connection.execute(_MARKS, {"ids": list(generation_ids)})
        return {row.id: (row.version, row.deleted, row.attempts) for row in rows}


async def key_stands(connection: AsyncConnection, key_id: UUID) -> bool:
    """Whether a key of the connection's tenant is neither revoked, expired nor deleted."""
    return bool((await connection.execute(_KEY_STANDS, {"id": key_id})).scalar_one())


async def timeline_events(connection: AsyncConnection, generation_id: UUID) -> list[Row[Any]]:
    """Events of one generation of the connection's tenant, in order."""
    return list(await connection.execute(_TIMELINE_EVENTS, {"id": generation_id}))


async def get(connection: AsyncConnection, generation_id: UUID) -> Row[Any] | None:
    """One generation as the connection's tenant sees it."""
    return (await connection.execute(_GET, {"id": generation_id})).one_or_none()


async def listing(
    connection: AsyncConnection, account_id: UUID, before: tuple[datetime, UUID] | None, size: int, skip: int
) -> list[Row[Any]]:
    """Generations older than a key, newest first."""
    values = {
        "account": account_id,
        "before": before[0] if before else None,
        "before_id": before[1] if before else None,
        "size": size,
        "skip": skip,
    }
    return list(await connection.execute(_LIST, values))


async def count(connection: AsyncConnection, account_id: UUID) -> int:
    """How many generations the account has."""
    return int((await connection.execute(_COUNT, {"account": account_id})).scalar_one())


async def attempts(connection: AsyncConnection, generation_ids: Sequence[UUID]) -> list[Row[Any]]:
    """Attempts of generations, in order."""
    return list(await connection.execute(_ATTEMPTS, {"ids": list(generation_ids)}))


async def outputs(connection: AsyncConnection, generation_ids: Sequence[UUID]) -> list[Row[Any]]:
    """Output files of generations, in order."""
    return list(await connection.execute(_OUTPUTS, {"ids": list(generation_ids)}))


async def find_file(engine: AsyncEngine, generation_id: UUID, ordinal: int) -> Row[Any] | None:
    """A file by its place, before its tenant is known; the caller has checked the URL's signature."""
    async with statement(engine) as connection:
        return (await connection.execute(_FILE, {"id": generation_id, "ordinal": ordinal})).one_or_none()


async def reporter_of(engine: AsyncEngine, attempt_id: UUID) -> tuple[str, str] | None:
    """Provider and model of an attempt, before its tenant is known; the caller has checked the report's address."""
    async with statement(engine) as connection:
        row = (await connection.execute(_REPORTER, {"attempt": attempt_id})).one_or_none()
        return None if row is None else (row.provider, row.model)
