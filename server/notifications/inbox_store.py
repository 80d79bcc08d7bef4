"""All SQL of a person's inbox and preferences; every statement runs in that person's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_LIST = text(
    "select id, account_id, category, kind, data, created_at, read_at from notifications.inbox"
    " where person_id = cast(:person as uuid) and (not cast(:unread as boolean) or read_at is null)"
    " and (cast(:before_at as timestamptz) is null"
    "      or (created_at, id) < (cast(:before_at as timestamptz), cast(:before_id as uuid)))"
    " order by created_at desc, id desc limit :limit offset :offset"
)
_COUNT = text(
    "select count(*) as total, count(*) filter (where read_at is null) as unread from notifications.inbox"
    " where person_id = cast(:person as uuid)"
)
_READ = text(
    "update notifications.inbox set read_at = now() where person_id = cast(:person as uuid) and read_at is null"
    " and (cast(:everything as boolean) or id = any (cast(:ids as uuid[])))"
)
_PREFERENCES = text(
    "select category, channel, enabled from notifications.preference where person_id = cast(:person as uuid)"
)
_PREFER = text(
    "insert into notifications.preference (person_id, category, channel, enabled)"
    " values (cast(:person as uuid), :category, :channel, :enabled)"
    " on conflict (person_id, category, channel) do update set enabled = excluded.enabled, updated_at = now()"
)


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice in an inbox."""

    id: UUID
    account_id: UUID | None
    category: str
    kind: str
    data: dict[str, str | int]
    created_at: datetime
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many notices an inbox holds."""

    total: int
    unread: int


async def list_notices(
    connection: AsyncConnection,
    person_id: UUID,
    *,
    unread_only: bool,
    before: tuple[datetime, UUID] | None,
    limit: int,
    offset: int,
) -> list[Notice]:
    """Notices of a person, newest first; `before` is the place where the last page ended."""
    values = {
        "person": person_id,
        "unread": unread_only,
        "before_at": None if before is None else before[0],
        "before_id": None if before is None else before[1],
        "limit": limit,
        "offset": offset,
    }
    return [Notice(*row) for row in await connection.execute(_LIST, values)]


async def count_notices(connection: AsyncConnection, person_id: UUID) -> Counts:
    """How many notices a person has."""
    return Counts(*(await connection.execute(_COUNT, {"person": person_id})).one())


async def mark_read(
    connection: AsyncConnection, person_id: UUID, ids: Sequence[UUID], *, everything: bool
) -> int:
    """Marks unread notices of a person as read; how many that were."""
    values = {"person": person_id, "ids": list(ids), "everything": everything}
    return int((await connection.execute(_READ, values)).rowcount)


async def preferences(connection: AsyncConnection, person_id: UUID) -> dict[tuple[str, str], bool]:
    """What a person has decided, by category and channel."""
    rows = await connection.execute(_PREFERENCES, {"person": person_id})
    return {(row.category, row.channel): row.enabled for row in rows}


async def prefer(
    connection: AsyncConnection, person_id: UUID, category: str, channel: str, *, enabled: bool
) -> None:
    """Writes down what a person has decided."""
    values = {"person": person_id, "category": category, "channel": channel, "enabled": enabled}
    await connection.execute(_PREFER, values)
