"""All SQL of the queue of e-mails, of suppressions, and of telling people in the app."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.runtime.database import statement

_QUEUE = text(
    "select notifications.queue_letter(cast(:id as uuid), cast(:event_key as text), cast(:template as text),"
    " cast(:version as int), cast(:category as text), cast(:optional as text), cast(:person as uuid),"
    " cast(:email_hash as bytea), cast(:to_ct as bytea), cast(:account as uuid), cast(:sealed_by as uuid),"
    " cast(:data_ct as bytea), cast(:run_after as timestamptz))"
)
_NOTIFY = text(
    "select notifications.notify(cast(:account as uuid), cast(:persons as uuid[]), cast(:category as text),"
    " cast(:kind as text), cast(:event_key as text), cast(:data as jsonb))"
)
_CLAIM = text(
    "select id, token, template, template_version, category, optional, person_id, email_hash, to_ct, account_id,"
    " sealed_by, data_ct, attempts, created_at"
    " from notifications.claim_letters(cast(:worker as uuid), cast(:limit as int), cast(:lease as interval))"
)
_SETTLE = text(
    "select notifications.settle_letter(cast(:id as uuid), cast(:token as bigint), cast(:person as uuid),"
    " cast(:data_ct as bytea))"
)
_RETURN = text(
    "select notifications.return_letter(cast(:id as uuid), cast(:token as bigint), cast(:pause as interval),"
    " cast(:error as text))"
)
_FINISH = text(
    "select notifications.finish_letter(cast(:id as uuid), cast(:token as bigint), cast(:state as text),"
    " cast(:error as text), cast(:message_id as text))"
)
_SUPPRESS = text(
    "select notifications.suppress(cast(:hash as bytea), cast(:reason as text), cast(:expires as timestamptz))"
)
_CLEAR = text("select notifications.clear_suppression(cast(:hash as bytea))")
_RECIPIENT = text(
    "select person_id, email_ct from notifications.recipient(cast(:person as uuid), cast(:hash as bytea))"
)
_OBJECTIONS = text(
    "select suppressed, unwanted from notifications.objections(cast(:hash as bytea), cast(:person as uuid),"
    " cast(:category as text))"
)
_OWNER = text("select notifications.owner_of(cast(:account as uuid))")
_LIST = text(
    "select id, event_key, template, template_version, state, attempts, last_error_kind, created_at, run_after, sent_at"
    " from notifications.list_letters(cast(:state as text), cast(:before_at as timestamptz),"
    " cast(:before_id as uuid), cast(:limit as int), cast(:skip as int))"
)
_COUNT = text("select notifications.count_letters(cast(:state as text))")
_FORGET = text("select notifications.forget_letters(cast(:keep as interval))")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A letter that this sender has until its lease is over."""

    id: UUID
    token: int
    """Fencing token; every write carries it."""
    template: str
    template_version: int
    category: str
    optional: str | None
    person_id: UUID | None
    email_hash: bytes | None
    to_ct: bytes | None
    account_id: UUID | None
    sealed_by: UUID | None
    data_ct: bytes | None
    attempts: int
    """How often it was claimed, this time included."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A letter as operators see it: not to whom it goes, and not what it says."""

    id: UUID
    event_key: str
    template: str
    template_version: int
    state: str
    attempts: int
    last_error_kind: str | None
    created_at: datetime
    run_after: datetime
    sent_at: datetime | None


async def queue_letter(
    connection: AsyncConnection,
    *,
    letter_id: UUID,
    event_key: str,
    template: str,
    version: int,
    category: str,
    optional: str | None = None,
    person_id: UUID | None = None,
    email_hash: bytes | None = None,
    to_ct: bytes | None = None,
    account_id: UUID | None = None,
    sealed_by: UUID | None = None,
    data_ct: bytes | None = None,
    run_after: datetime | None = None,
) -> bool:
    """Queues a letter; False when one of this event is known already."""
    values = {
        "id": letter_id,
        "event_key": event_key,
        "template": template,
        "version": version,
        "category": category,
        "optional": optional,
        "person": person_id,
        "email_hash": email_hash,
        "to_ct": to_ct,
        "account": account_id,
        "sealed_by": sealed_by,
        "data_ct": data_ct,
        "run_after": run_after,
    }
    return bool((await connection.execute(_QUEUE, values)).scalar_one())


async def notify(
    connection: AsyncConnection,
    account_id: UUID | None,
    person_ids: Sequence[UUID],
    category: str,
    kind: str,
    event_key: str,
    data: Mapping[str, str | int],
) -> int:
    """Writes inbox rows; how many people were told."""
    values = {
        "account": account_id,
        "persons": list(person_ids),
        "category": category,
        "kind": kind,
        "event_key": event_key,
        "data": json.dumps(dict(data)),
    }
    return int((await connection.execute(_NOTIFY, values)).scalar_one())


async def claim_letters(engine: AsyncEngine, worker: UUID, limit: int, lease_seconds: float) -> list[Claimed]:
    """Takes up to `limit` due letters."""
    # What is done for no request in particular would drown the traces of requests.
    with suppress_instrumentation():
        async with statement(engine) as connection:
            values = {"worker": worker, "limit": limit, "lease": timedelta(seconds=lease_seconds)}
            return [Claimed(*row) for row in await connection.execute(_CLAIM, values)]


async def settle_letter(
    connection: AsyncConnection, letter: Claimed, person_id: UUID, data_ct: bytes
) -> bool:
    """Fixes who gets a letter and its values; False when it is no longer ours."""
    values = {"id": letter.id, "token": letter.token, "person": person_id, "data_ct": data_ct}
    return bool((await connection.execute(_SETTLE, values)).scalar_one())


async def return_letter(engine: AsyncEngine, letter: Claimed, pause_seconds: float, error: str) -> bool:
    """Gives a letter back until later; False when it is no longer ours."""
    async with statement(engine) as connection:
        pause = timedelta(seconds=pause_seconds)
        values = {"id": letter.id, "token": letter.token, "pause": pause, "error": error}
        return bool((await connection.execute(_RETURN, values)).scalar_one())


async def finish_letter(
    connection: AsyncConnection,
    letter: Claimed,
    state: str,
    *,
    error: str | None = None,
    message_id: str | None = None,
) -> bool:
    """Ends a letter and empties it; False when it is no longer ours."""
    values = {
        "id": letter.id,
        "token": letter.token,
        "state": state,
        "error": error,
        "message_id": message_id,
    }
    return bool((await connection.execute(_FINISH, values)).scalar_one())


async def suppress(
    connection: AsyncConnection, email_hash: bytes, reason: str, expires_at: datetime | None
) -> None:
    """Stops e-mail to an address; `bounce`, `complaint` or `manual`."""
    await connection.execute(_SUPPRESS, {"hash": email_hash, "reason": reason, "expires": expires_at})


async def clear_suppression(connection: AsyncConnection, email_hash: bytes) -> bool:
    """Lets an address be written to again; False when nothing stopped it."""
    return bool((await connection.execute(_CLEAR, {"hash": email_hash})).scalar_one())


async def recipient(
    connection: AsyncConnection, person_id: UUID | None, email_hash: bytes | None
) -> tuple[UUID, bytes] | None:
    """The person and the sealed address of the moment; None when there is nobody."""
    row = (await connection.execute(_RECIPIENT, {"person": person_id, "hash": email_hash})).one_or_none()
    return None if row is None or row.email_ct is None else (row.person_id, bytes(row.email_ct))


async def objections(
    connection: AsyncConnection, email_hash: bytes, person_id: UUID | None, category: str
) -> tuple[str | None, bool]:
    """Why the address is suppressed (None: it is not), and whether the person turned the category off."""
    values = {"hash": email_hash, "person": person_id, "category": category}
    row = (await connection.execute(_OBJECTIONS, values)).one()
    return row.suppressed, row.unwanted


async def owner_of(connection: AsyncConnection, account_id: UUID) -> UUID | None:
    """The account's Primary Owner; None when it has none."""
    found: UUID | None = (await connection.execute(_OWNER, {"account": account_id})).scalar_one()
    return found


async def list_letters(
    connection: AsyncConnection,
    state: str | None,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
    offset: int,
) -> list[LetterRow]:
    """Letters, newest first; `before` is the place where the last page ended."""
    values: dict[str, Any] = {
        "state": state,
        "before_at": None if before is None else before[0],
        "before_id": None if before is None else before[1],
        "limit": limit,
        "skip": offset,
    }
    return [LetterRow(*row) for row in await connection.execute(_LIST, values)]


async def count_letters(connection: AsyncConnection, state: str | None) -> int:
    """How many letters there are, of a state or all."""
    return int((await connection.execute(_COUNT, {"state": state})).scalar_one())


async def forget_letters(engine: AsyncEngine, keep: timedelta) -> int:
    """Drops letters that ended so long ago; how many."""
    with suppress_instrumentation():
        async with statement(engine) as connection:
            return int((await connection.execute(_FORGET, {"keep": keep})).scalar_one())
