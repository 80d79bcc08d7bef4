"""All SQL of consents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_COLUMNS = "id, purpose, version, locale, granted, at, source"

_REGISTER = text(
    "select privacy.register_texts(:purposes, :versions, :locales, :titles, :sha256s, :effective)"
)
_INSERT = text(
    "insert into privacy.consent (id, person_id, purpose, version, locale, granted, address_hash, source)"
    " select t.id, :person, t.purpose, t.version, t.locale, t.granted, cast(:address as bytea), :source"
    " from unnest(cast(:ids as uuid[]), cast(:purposes as text[]), cast(:versions as text[]), cast(:locales as text[]),"
    "             cast(:granted as boolean[])) as t(id, purpose, version, locale, granted)"
)
_INSERT_VISITOR = text(
    "select privacy.record_visitor(:visitor, :ids, :purposes, :versions, :locales, :granted, cast(:address as bytea))"
)
_ADOPT = text("select privacy.adopt_visitor(:visitor)")
# The order of time, and of ids where two have the same: that is what "newest" means everywhere.
_NEWEST = text(
    f"select distinct on (purpose) {_COLUMNS} from privacy.consent"  # noqa: S608
    " where person_id = :person order by purpose, at desc, id desc"
)
_NEWEST_OF = text(
    "select c.version, c.granted, now() as now from privacy.consent c"
    " where c.person_id = :person and c.purpose = :purpose order by c.at desc, c.id desc limit 1"
)
_HISTORY = text(
    f"select {_COLUMNS} from privacy.consent"  # noqa: S608
    " where person_id = :person"
    " and (cast(:before_at as timestamptz) is null"
    "      or (at, id) < (cast(:before_at as timestamptz), cast(:before_id as uuid)))"
    " order by at desc, id desc limit :limit offset :offset"
)
_COUNT = text("select count(*) from privacy.consent where person_id = :person")


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text that somebody chose about."""

    purpose: str
    version: str
    locale: str
    title: str
    sha256: bytes
    effective_from: datetime


@dataclass(frozen=True, slots=True)
class NewChoice:
    """A choice to write."""

    id: UUID
    purpose: str
    version: str
    locale: str
    granted: bool


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """A choice as it was recorded."""

    id: UUID
    purpose: str
    version: str
    locale: str
    granted: bool
    at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Newest:
    """What decides about one purpose: the newest choice, and the database's time."""

    version: str
    granted: bool
    now: datetime


async def register_texts(connection: AsyncConnection, texts: Sequence[ShownText]) -> bool:
    """Writes down the texts of choices; False when one had other words under its version before."""
    values = {
        "purposes": [text.purpose for text in texts],
        "versions": [text.version for text in texts],
        "locales": [text.locale for text in texts],
        "titles": [text.title for text in texts],
        "sha256s": [text.sha256 for text in texts],
        "effective": [text.effective_from for text in texts],
    }
    return bool((await connection.execute(_REGISTER, values)).scalar_one())


async def insert_choices(
    connection: AsyncConnection,
    person_id: UUID,
    choices: Sequence[NewChoice],
    address_hash: bytes | None,
    source: str,
) -> None:
    """Adds choices of a person, in a transaction of that person."""
    values = {**_arrays(choices), "person": person_id, "address": address_hash, "source": source}
    await connection.execute(_INSERT, values)


async def insert_visitor_choices(
    connection: AsyncConnection, visitor_hash: bytes, choices: Sequence[NewChoice], address_hash: bytes | None
) -> None:
    """Adds choices of a visitor."""
    values = {**_arrays(choices), "visitor": visitor_hash, "address": address_hash}
    await connection.execute(_INSERT_VISITOR, values)


async def adopt_visitor(connection: AsyncConnection, visitor_hash: bytes) -> int:
    """Gives the choices of a visitor to the person of the transaction; how many were not given to anybody before."""
    return int((await connection.execute(_ADOPT, {"visitor": visitor_hash})).scalar_one())


async def newest_choices(connection: AsyncConnection, person_id: UUID) -> dict[str, ChoiceRow]:
    """The newest choice of a person by purpose."""
    rows = await connection.execute(_NEWEST, {"person": person_id})
    return {row.purpose: _choice(row) for row in rows}


async def newest_choice(connection: AsyncConnection, person_id: UUID, purpose: str) -> Newest | None:
    """The newest choice of a person about one purpose; None before the first."""
    values = {"person": person_id, "purpose": purpose}
    row = (await connection.execute(_NEWEST_OF, values)).one_or_none()
    return None if row is None else Newest(row.version, row.granted, row.now)


async def list_choices(
    connection: AsyncConnection,
    person_id: UUID,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
    offset: int,
) -> list[ChoiceRow]:
    """Choices of a person, newest first; `before` is the place where the last page ended."""
    values = {
        "person": person_id,
        "before_at": None if before is None else before[0],
        "before_id": None if before is None else before[1],
        "limit": limit,
        "offset": offset,
    }
    return [_choice(row) for row in await connection.execute(_HISTORY, values)]


async def count_choices(connection: AsyncConnection, person_id: UUID) -> int:
    """How many choices of a person there are."""
    return int((await connection.execute(_COUNT, {"person": person_id})).scalar_one())


def _arrays(choices: Sequence[NewChoice]) -> dict[str, list[Any]]:
    return {
        "ids": [choice.id for choice in choices],
        "purposes": [choice.purpose for choice in choices],
        "versions": [choice.version for choice in choices],
        "locales": [choice.locale for choice in choices],
        "granted": [choice.granted for choice in choices],
    }


def _choice(row: Row[Any]) -> ChoiceRow:
    return ChoiceRow(
        id=row.id,
        purpose=row.purpose,
        version=row.version,
        locale=row.locale,
        granted=row.granted,
        at=row.at,
        source=row.source,
    )
