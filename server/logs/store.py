"""All SQL of logs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.runtime.request_facts import RequestFact

_WRITE = text(
    """
    select logs.write_requests(cast(:id as uuid[]), cast(:account_id as uuid[]), cast(:key_id as uuid[]), cast(:person_id as uuid[]),
      cast(:at as timestamptz[]), cast(:ended_at as timestamptz[]), cast(:surface as text[]), cast(:method as text[]),
      cast(:route as text[]), cast(:query as text[]), cast(:status as int[]), cast(:bse_code as text[]), cast(:millis as int[]),
      cast(:replayed as boolean[]), cast(:address_hash as bytea[]), cast(:user_agent as text[]), cast(:request_id as text[]))
    """
)
_GAP = text(
    "select logs.note_gap(:process, cast(:began as timestamptz), cast(:ended as timestamptz), cast(:lost as bigint))"
)
_NOTE = text(
    "select logs.note_activity(cast(:account as uuid), cast(:actor as uuid), :category, :action, cast(:target as uuid),"
    " cast(:details as jsonb))"
)
_FORGET_KEY = text("select logs.forget_key(cast(:key as uuid))")
# The account stands in the query beside the policy, so that the primary key is used. Rows of a deleted key that are still to
# be removed are not there.
_REQUESTS = """
    select r.id, r.at, r.surface, r.method, r.route, r.query, r.status, r.bse_code, r.millis, r.replayed, r.key_id, r.person_id,
           r.address_hash, r.user_agent, r.request_id, k.name as key_name, k.public_id as key_public_id, k.expires_at, k.revoked_at,
           k.rotated_at
      from (select * from logs.request r
             where r.account_id = :account {filters}
               and (r.key_id is null or exists (select 1 from keys.api_key x where x.id = r.key_id))
             order by r.at desc, r.id desc limit :limit) r
      left join keys.api_key k on k.id = r.key_id and k.account_id = :account
     order by r.at desc, r.id desc
"""
_ACTIVITY = """
    select a.* from (
      (select l.id, l.at, l.actor_person, l.category, l.action, l.target, l.details::text as details, null as model, null as provider,
              null as error_code, null::bigint as amount_micros
         from logs.activity l where l.account_id = :account {filters}
        order by l.at desc, l.id desc limit :limit)
      {events}) a
     order by a.at desc, a.id desc limit :limit
"""
_EVENTS = """
      union all
      (select e.id, e.at, null, split_part(e.type, '.', 1), split_part(e.type, '.', 2), e.target, '{}', e.model, e.provider, e.error_code,
              e.amount_micros
         from logs.event_facts(:generation, :credit, cast(:begin as timestamptz), cast(:end as timestamptz),
                               cast(:before as timestamptz), cast(:before_id as uuid), cast(:limit as int)) e)
"""
_KEY_USAGE = text(
    """
    select d.key_id, d.day, d.requests, d.errors, d.last_at, k.name as key_name, k.public_id as key_public_id, k.expires_at,
           k.revoked_at, k.rotated_at
      from logs.key_daily d left join keys.api_key k on k.id = d.key_id and k.account_id = :account
     where d.account_id = :account and d.day >= cast(:since as date)
     order by d.key_id, d.day desc
    """
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of a log ended: the time and id of its last row."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which requests are wanted; None and empty want any."""

    begin: datetime | None = None
    """At or after."""
    end: datetime | None = None
    """Before."""
    key_id: UUID | None = None
    route: str = ""
    method: str = ""
    surface: str = ""
    bse_code: str = ""
    status_class: int = 0
    """First digit of the status, 2 to 5; 0 for any."""


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """Which activity is wanted; None and empty want any."""

    begin: datetime | None = None
    """At or after."""
    end: datetime | None = None
    """Before."""
    category: str = ""
    actor: UUID | None = None
    system_only: bool = False
    """Only what no member did."""


async def write_requests(engine: AsyncEngine, facts: Sequence[RequestFact]) -> int:
    """Writes requests and their counts in one round trip; the number of new rows. No request twice in one batch."""
    values: dict[str, Any] = {
        name: [getattr(fact, name) for fact in facts] for name in RequestFact.__dataclass_fields__
    }
    with suppress_instrumentation():
        async with engine.connect() as connection:
            return int((await connection.execute(_WRITE, values)).scalar_one())


async def note_gap(engine: AsyncEngine, process: str, began: datetime, ended: datetime, lost: int) -> None:
    """Says that a process gave up rows."""
    values = {"process": process, "began": began, "ended": ended, "lost": lost}
    with suppress_instrumentation():
        async with engine.connect() as connection:
            await connection.execute(_GAP, values)


async def note_activity(
    connection: AsyncConnection,
    account_id: UUID,
    actor: UUID | None,
    category: str,
    action: str,
    target: UUID | None,
    details: Mapping[str, str | int],
) -> None:
    """Notes one thing that was done to an account."""
    values = {
        "account": account_id,
        "actor": actor,
        "category": category,
        "action": action,
        "target": target,
        "details": json.dumps(details),
    }
    await connection.execute(_NOTE, values)


async def forget_key(connection: AsyncConnection, key_id: UUID) -> int:
    """Removes the request rows of a key of the connection's tenant, after the key itself; how many."""
    return int((await connection.execute(_FORGET_KEY, {"key": key_id})).scalar_one())


async def requests(
    connection: AsyncConnection, account_id: UUID, wanted: RequestFilter, before: Place | None, limit: int
) -> list[Row[Any]]:
    """Requests older than a place, newest first."""
    statement, values = request_query(account_id, wanted, before, limit)
    return list(await connection.execute(text(statement), values))


def request_query(
    account_id: UUID, wanted: RequestFilter, before: Place | None, limit: int
) -> tuple[str, dict[str, object]]:
    """The statement of a page of requests and its values; only the wanted filters stand in it."""
    values: dict[str, object] = {"account": account_id, "limit": limit}
    filters = _span("r", wanted.begin, wanted.end, before, values)
    for column in ("key_id", "route", "method", "surface", "bse_code"):
        value = getattr(wanted, column)
        if value:
            filters.append(f"r.{column} = :{column}")
            values[column] = value
    if wanted.status_class >= 4 or wanted.bse_code:
        # In the words of the index of failures, which a number in a parameter would not be matched with.
        filters.append("r.status >= 400")
    if wanted.status_class:
        filters.append("r.status between :least and :most")
        values.update(least=wanted.status_class * 100, most=wanted.status_class * 100 + 99)
    return _REQUESTS.format(filters=_joined(filters)), values


async def activity(
    connection: AsyncConnection, account_id: UUID, wanted: ActivityFilter, before: Place | None, limit: int
) -> list[Row[Any]]:
    """Activity older than a place, newest first, with what the events tell of generations and credits."""
    statement, values = activity_query(account_id, wanted, before, limit)
    return list(await connection.execute(text(statement), values))


def activity_query(
    account_id: UUID, wanted: ActivityFilter, before: Place | None, limit: int
) -> tuple[str, dict[str, object]]:
    """The statement of a page of activity and its values; only the wanted filters stand in it."""
    values: dict[str, object] = {"account": account_id, "limit": limit}
    filters = _span("l", wanted.begin, wanted.end, before, values)
    if wanted.category:
        filters.append("l.category = :category")
        values["category"] = wanted.category
    if wanted.actor is not None:
        filters.append("l.actor_person = :actor")
        values["actor"] = wanted.actor
    if wanted.system_only:
        filters.append("l.actor_person is null")
    generation = wanted.category in {"", "generation"}
    credit = wanted.category in {"", "credit"}
    # No member stands in an event: what one of them began, the system carried out.
    events = _EVENTS if wanted.actor is None and (generation or credit) else ""
    if events:
        values.update(generation=generation, credit=credit)
        values.update(dict.fromkeys(("begin", "end", "before", "before_id")) | values)
    return _ACTIVITY.format(filters=_joined(filters), events=events), values


async def key_usage(connection: AsyncConnection, account_id: UUID, since: date) -> list[Row[Any]]:
    """Daily counts of every key of the account since a day, deleted keys too; key by key, newest day first."""
    return list(await connection.execute(_KEY_USAGE, {"account": account_id, "since": since}))


def _span(
    name: str, begin: datetime | None, end: datetime | None, before: Place | None, values: dict[str, object]
) -> list[str]:
    filters = []
    if begin is not None:
        filters.append(f"{name}.at >= :begin")
        values["begin"] = begin
    if end is not None:
        filters.append(f"{name}.at < :end")
        values["end"] = end
    if before is not None:
        # Said twice: the second alone would not leave out the partitions after it.
        filters.append(f"{name}.at <= :before and ({name}.at, {name}.id) < (:before, :before_id)")
        values.update(before=before.at, before_id=before.id)
    return filters


def _joined(filters: Sequence[str]) -> str:
    return "".join(f" and {each}" for each in filters)
