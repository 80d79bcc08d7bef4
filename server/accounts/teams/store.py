"""All SQL of accounts as their members see them, and of who belongs to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_DETAILS = (
    "a.id, a.plan, a.name_ct, a.slug, a.personal, a.standing, a.primary_owner, a.avatar_ct is not null as has_avatar,"
    " a.created_at, a.updated_at"
)
_INSERT = text(
    "insert into accounts.account (id, plan, name_ct, slug, personal, created_at, updated_at)"
    " values (:account, :plan, :name, :slug, false, :now, :now)"
)
_ADD = text(
    "insert into accounts.membership (account_id, person_id, role, created_at)"
    " values (:account, :person, :role, :now)"
)
_NAME_OWNER = text("update accounts.account set primary_owner = :person where id = :account")
_COUNT_OWNED = text(
    "select count(*) from accounts.account where primary_owner = :person and not personal and deleted_at is null"
)
_HOLD_PERSON = text("select id from accounts.person where id = :person for no key update")
_GET = text(
    f"select {_DETAILS}, (select count(*) from accounts.membership m where m.account_id = a.id) as members"  # noqa: S608
    " from accounts.account a where a.id = :account and a.deleted_at is null"
)
_AVATAR = text("select avatar_ct from accounts.account where id = :account")
_UPDATE = text(
    "update accounts.account set name_ct = coalesce(cast(:name as bytea), name_ct),"
    " slug = coalesce(cast(:slug as text), slug),"
    " avatar_ct = case when :keep_avatar then avatar_ct else cast(:avatar as bytea) end, updated_at = :now"
    " where id = :account"
)
_MINE = text(
    f"select {_DETAILS}, m.role, m.created_at as joined_at"  # noqa: S608
    " from accounts.membership m join accounts.account a on a.id = m.account_id"
    " where m.person_id = :person and a.deleted_at is null"
    " order by a.personal desc, a.created_at, a.id"
)
_MEMBER_COLUMNS = (
    "m.person_id, m.role, m.created_at, coalesce(a.primary_owner = m.person_id, false) as is_primary,"
    " p.name_ct, p.email_ct"
)
_MEMBERS_FROM = (
    " from accounts.membership m join accounts.account a on a.id = m.account_id"
    " join accounts.person p on p.id = m.person_id where m.account_id = :account"
)
# The Primary Owner's place is before everybody's.
_PLACE = "case when a.primary_owner = m.person_id then timestamptz 'epoch' else m.created_at end"
_MEMBERS = text(
    f"select {_MEMBER_COLUMNS}, {_PLACE} as place {_MEMBERS_FROM}"
    " and (cast(:after_at as timestamptz) is null"
    f"      or ({_PLACE}, m.person_id) > (cast(:after_at as timestamptz), cast(:after_id as uuid)))"
    " order by place, m.person_id limit :limit offset :offset"
)
_MEMBER = text(f"select {_MEMBER_COLUMNS}, {_PLACE} as place {_MEMBERS_FROM} and m.person_id = :person")
_COUNT = text("select count(*) from accounts.membership where account_id = :account")
# Every row is looked at, so that the time says nothing about the address.
_IS_MEMBER = text(
    "select coalesce(bool_or(p.email_hash = :hash), false)"
    " from accounts.membership m join accounts.person p on p.id = m.person_id where m.account_id = :account"
)
_SET_ROLE = text(
    "update accounts.membership m set role = :role where m.account_id = :account and m.person_id = :person"
    " and not exists (select 1 from accounts.account a where a.id = m.account_id and a.primary_owner = m.person_id)"
)
_REMOVE = text(
    "delete from accounts.membership m where m.account_id = :account and m.person_id = :person"
    " and not exists (select 1 from accounts.account a where a.id = m.account_id and a.primary_owner = m.person_id)"
)
_TRANSFER = text(
    "update accounts.account set primary_owner = :heir, updated_at = :now"
    " where id = :account and primary_owner = :person and not personal"
)
_MAKE_OWNER = text(
    "update accounts.membership set role = 'owner' where account_id = :account and person_id = :person"
)
_PEOPLE = text("select person_id from accounts.membership where account_id = :account order by person_id")
_CLOSE = text("select accounts.close_team(cast(:now as timestamptz))")


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as it is stored; what people wrote is sealed."""

    id: UUID
    plan: str
    name_ct: bytes
    slug: str | None
    personal: bool
    standing: str
    primary_owner: UUID | None
    has_avatar: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class MyAccountRow:
    """An account of a person, and what the person is there."""

    account: AccountRow
    role: str
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member as it is stored; what the person wrote is sealed under the person's key."""

    person_id: UUID
    role: str
    is_primary: bool
    joined_at: datetime
    place: datetime
    """With the id, the order of the list."""
    name_ct: bytes
    email_ct: bytes


async def insert_team(
    connection: AsyncConnection,
    account_id: UUID,
    owner: UUID,
    *,
    plan: str,
    name_ct: bytes,
    slug: str,
    now: datetime,
) -> None:
    """Writes a new team with its Primary Owner.

    Raises:
        IntegrityError: another team has the slug.
    """
    values = {"account": account_id, "plan": plan, "name": name_ct, "slug": slug, "now": now}
    await connection.execute(_INSERT, values)
    await connection.execute(_ADD, {"account": account_id, "person": owner, "role": "owner", "now": now})
    await connection.execute(_NAME_OWNER, {"account": account_id, "person": owner})


async def count_owned(connection: AsyncConnection, person_id: UUID) -> int:
    """How many teams a person is the Primary Owner of, in a transaction of the person."""
    return int((await connection.execute(_COUNT_OWNED, {"person": person_id})).scalar_one())


async def hold_person(connection: AsyncConnection, person_id: UUID) -> None:
    """Lets nobody else hold the transaction's person before it ends."""
    await connection.execute(_HOLD_PERSON, {"person": person_id})


async def get_account(connection: AsyncConnection, account_id: UUID) -> tuple[AccountRow, int] | None:
    """An account that was not deleted, and how many members it has."""
    row = (await connection.execute(_GET, {"account": account_id})).one_or_none()
    return None if row is None else (_account(row), int(row.members))


async def get_avatar(connection: AsyncConnection, account_id: UUID) -> bytes | None:
    """The sealed picture."""
    found = (await connection.execute(_AVATAR, {"account": account_id})).scalar_one_or_none()
    return None if found is None else bytes(found)


async def update_account(
    connection: AsyncConnection,
    account_id: UUID,
    *,
    name_ct: bytes | None,
    slug: str | None,
    keep_avatar: bool,
    avatar_ct: bytes | None,
    now: datetime,
) -> None:
    """Changes what is given; None leaves name and slug, and removes a picture that is not kept.

    Raises:
        IntegrityError: another account has the slug.
    """
    values = {
        "account": account_id,
        "name": name_ct,
        "slug": slug,
        "keep_avatar": keep_avatar,
        "avatar": avatar_ct,
        "now": now,
    }
    await connection.execute(_UPDATE, values)


async def list_mine(connection: AsyncConnection, person_id: UUID) -> list[MyAccountRow]:
    """The accounts of the transaction's person: the personal one first, then by age."""
    rows = await connection.execute(_MINE, {"person": person_id})
    return [MyAccountRow(_account(row), row.role, row.joined_at) for row in rows]


async def list_members(
    connection: AsyncConnection,
    account_id: UUID,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
    offset: int,
) -> list[MemberRow]:
    """Members, the Primary Owner first, then by age; `after` is the place where the last page ended."""
    values = {
        "account": account_id,
        "after_at": None if after is None else after[0],
        "after_id": None if after is None else after[1],
        "limit": limit,
        "offset": offset,
    }
    return [_member(row) for row in await connection.execute(_MEMBERS, values)]


async def get_member(connection: AsyncConnection, account_id: UUID, person_id: UUID) -> MemberRow | None:
    """A member; None for anybody else."""
    row = (await connection.execute(_MEMBER, {"account": account_id, "person": person_id})).one_or_none()
    return None if row is None else _member(row)


async def count_members(connection: AsyncConnection, account_id: UUID) -> int:
    """How many people an account has."""
    return int((await connection.execute(_COUNT, {"account": account_id})).scalar_one())


async def is_member(connection: AsyncConnection, account_id: UUID, email_hash: bytes) -> bool:
    """Whether a member has an address."""
    values = {"account": account_id, "hash": email_hash}
    return bool((await connection.execute(_IS_MEMBER, values)).scalar_one())


async def set_role(connection: AsyncConnection, account_id: UUID, person_id: UUID, role: str) -> bool:
    """Changes a member's role; False for the Primary Owner and for strangers."""
    values = {"account": account_id, "person": person_id, "role": role}
    return bool((await connection.execute(_SET_ROLE, values)).rowcount)


async def remove_member(connection: AsyncConnection, account_id: UUID, person_id: UUID) -> bool:
    """Takes a member out; False for the Primary Owner and for strangers."""
    values = {"account": account_id, "person": person_id}
    return bool((await connection.execute(_REMOVE, values)).rowcount)


async def transfer(
    connection: AsyncConnection, account_id: UUID, person_id: UUID, heir: UUID, now: datetime
) -> bool:
    """Makes a member the Primary Owner in a person's place; False when the person is not the Primary Owner."""
    values = {"account": account_id, "person": person_id, "heir": heir, "now": now}
    if not (await connection.execute(_TRANSFER, values)).rowcount:
        return False
    return bool((await connection.execute(_MAKE_OWNER, {"account": account_id, "person": heir})).rowcount)


async def people_of(connection: AsyncConnection, account_id: UUID) -> list[UUID]:
    """Everybody who belongs to an account."""
    return [row.person_id for row in await connection.execute(_PEOPLE, {"account": account_id})]


async def close_team(connection: AsyncConnection, now: datetime) -> str:
    """Ends the transaction's team; a word of accounts.close_team."""
    return str((await connection.execute(_CLOSE, {"now": now})).scalar_one())


def _account(row: Row[Any]) -> AccountRow:
    return AccountRow(
        id=row.id,
        plan=row.plan,
        name_ct=bytes(row.name_ct),
        slug=row.slug,
        personal=row.personal,
        standing=row.standing,
        primary_owner=row.primary_owner,
        has_avatar=row.has_avatar,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _member(row: Row[Any]) -> MemberRow:
    return MemberRow(
        person_id=row.person_id,
        role=row.role,
        is_primary=row.is_primary,
        joined_at=row.created_at,
        place=row.place,
        name_ct=bytes(row.name_ct),
        email_ct=bytes(row.email_ct),
    )
