"""All SQL of people: their rows, second factors and accounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_FIND_BY_EMAIL = text(
    "select id, password_hash, password_changed_at, has_totp"
    " from accounts.find_person_by_email(cast(:hash as bytea))"
)
_PERSON = """
    select p.id, p.email_hash, p.email_ct, p.name_ct, p.avatar_ct is not null as has_avatar, p.password_hash,
           p.password_changed_at, p.totp_ct, p.totp_confirmed_at, p.locale, p.created_at,
           (select count(*) from accounts.recovery_code r where r.person_id = p.id) as recovery_codes,
           (select a.id from accounts.membership m join accounts.account a on a.id = m.account_id
             where m.person_id = p.id and a.primary_owner = p.id and a.personal and a.deleted_at is null
             limit 1) as personal_account
      from accounts.person p where p.id = :person
"""
_GET = text(_PERSON)
_LOCK = text(_PERSON + " for no key update of p")
_AVATAR = text("select avatar_ct from accounts.person where id = :person")
_INSERT = text(
    "insert into accounts.person (id, email_hash, email_ct, name_ct, password_hash, password_changed_at, locale,"
    " created_at, updated_at) values (:id, :email_hash, :email_ct, :name_ct, :password_hash,"
    " cast(:changed as timestamptz), :locale, :now, :now) on conflict do nothing returning id"
)
_INSERT_MEMBERSHIP = text(
    "insert into accounts.membership (account_id, person_id, role, created_at)"
    " values (:account, :person, 'owner', :now)"
)
_SET_OWNER = text("update accounts.account set primary_owner = :person where id = :account")
_SET_ACCOUNT_EMAIL = text("update accounts.account set email_ct = :email_ct where id = :account")
_GRANT_WELCOME = text(
    "select accounts.grant_welcome(cast(:account as uuid), cast(:email_hash as bytea), cast(:amount as bigint),"
    " cast(:now as timestamptz))"
)
_SET_PASSWORD = text(
    "update accounts.person set password_hash = :hash, password_changed_at = :now, updated_at = :now"
    " where id = :person"
)
_REHASH = text("update accounts.person set password_hash = :new where id = :person and password_hash = :old")
_SET_EMAIL = text(
    "update accounts.person set email_hash = :email_hash, email_ct = :email_ct, updated_at = :now where id = :person"
)
_SET_PROFILE = text(
    "update accounts.person set name_ct = coalesce(cast(:name_ct as bytea), name_ct),"
    " locale = coalesce(cast(:locale as text), locale),"
    " avatar_ct = case when :keep_avatar then avatar_ct else cast(:avatar_ct as bytea) end, updated_at = :now"
    " where id = :person"
)
_PREPARE_TOTP = text(
    "update accounts.person set totp_ct = :secret, updated_at = :now"
    " where id = :person and totp_confirmed_at is null returning id"
)
_CONFIRM_TOTP = text(
    "update accounts.person set totp_confirmed_at = :now, totp_step = :step, updated_at = :now"
    " where id = :person and totp_confirmed_at is null and totp_ct = :secret and totp_step < :step returning id"
)
_USE_STEP = text(
    "update accounts.person set totp_step = :step"
    " where id = :person and totp_confirmed_at is not null and totp_step < :step returning id"
)
_DISABLE_TOTP = text(
    "update accounts.person set totp_ct = null, totp_confirmed_at = null, updated_at = :now where id = :person"
)
_ADD_CODES = text(
    "insert into accounts.recovery_code (person_id, code_hash, created_at)"
    " select cast(:person as uuid), x, cast(:now as timestamptz) from unnest(cast(:hashes as bytea[])) x"
)
_USE_CODE = text(
    "delete from accounts.recovery_code where person_id = :person and code_hash = :hash returning person_id"
)
_END_CODES = text("delete from accounts.recovery_code where person_id = :person")


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody who has an e-mail, before it is proven that it is the caller."""

    id: UUID
    password_hash: str | None
    password_changed_at: datetime | None
    has_totp: bool


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as it is stored; what people wrote is sealed."""

    id: UUID
    email_hash: bytes
    email_ct: bytes
    name_ct: bytes
    has_avatar: bool
    password_hash: str | None
    password_changed_at: datetime | None
    totp_ct: bytes | None
    totp_confirmed_at: datetime | None
    locale: str
    created_at: datetime
    recovery_codes: int
    personal_account: UUID | None


async def find_by_email(connection: AsyncConnection, email_hash: bytes) -> Known | None:
    """Who has an e-mail; None when nobody has."""
    row = (await connection.execute(_FIND_BY_EMAIL, {"hash": email_hash})).one_or_none()
    return None if row is None else Known(row.id, row.password_hash, row.password_changed_at, row.has_totp)


async def get_person(connection: AsyncConnection, person_id: UUID) -> PersonRow | None:
    """A person, in a transaction of its own person."""
    return _person((await connection.execute(_GET, {"person": person_id})).one_or_none())


async def lock_person(connection: AsyncConnection, person_id: UUID) -> PersonRow | None:
    """A person, who stays as it is until the transaction ends: credentials and sessions change one after the other."""
    return _person((await connection.execute(_LOCK, {"person": person_id})).one_or_none())


async def get_avatar(connection: AsyncConnection, person_id: UUID) -> bytes | None:
    """The sealed picture."""
    return _bytes((await connection.execute(_AVATAR, {"person": person_id})).scalar_one_or_none())


async def insert_person(
    connection: AsyncConnection,
    *,
    person_id: UUID,
    email_hash: bytes,
    email_ct: bytes,
    name_ct: bytes,
    password_hash: str | None,
    locale: str,
    now: datetime,
) -> bool:
    """Writes a person; False when somebody has the e-mail already."""
    values = {
        "id": person_id,
        "email_hash": email_hash,
        "email_ct": email_ct,
        "name_ct": name_ct,
        "password_hash": password_hash,
        "changed": now if password_hash is not None else None,
        "locale": locale,
        "now": now,
    }
    return (await connection.execute(_INSERT, values)).one_or_none() is not None


async def make_owner(connection: AsyncConnection, account_id: UUID, person_id: UUID, now: datetime) -> None:
    """Makes a person the Primary Owner of a new account."""
    await connection.execute(_INSERT_MEMBERSHIP, {"account": account_id, "person": person_id, "now": now})
    await connection.execute(_SET_OWNER, {"account": account_id, "person": person_id})


async def set_account_email(connection: AsyncConnection, account_id: UUID, email_ct: bytes) -> None:
    """Changes the e-mail of a personal account, sealed under its key."""
    await connection.execute(_SET_ACCOUNT_EMAIL, {"account": account_id, "email_ct": email_ct})


async def grant_welcome(
    connection: AsyncConnection, account_id: UUID, email_hash: bytes, micros: int, now: datetime
) -> bool:
    """Gives the welcome credit; False when the e-mail had it before."""
    values = {"account": account_id, "email_hash": email_hash, "amount": micros, "now": now}
    return bool((await connection.execute(_GRANT_WELCOME, values)).scalar_one())


async def set_password(
    connection: AsyncConnection, person_id: UUID, password_hash: str, now: datetime
) -> None:
    """Sets another password."""
    await connection.execute(_SET_PASSWORD, {"person": person_id, "hash": password_hash, "now": now})


async def rehash(connection: AsyncConnection, person_id: UUID, old: str, new: str) -> None:
    """Replaces a hash by one of the same password at today's cost."""
    await connection.execute(_REHASH, {"person": person_id, "old": old, "new": new})


async def set_email(
    connection: AsyncConnection, person_id: UUID, email_hash: bytes, email_ct: bytes, now: datetime
) -> None:
    """Moves a person to another e-mail.

    Raises:
        IntegrityError: somebody else has it.
    """
    values = {"person": person_id, "email_hash": email_hash, "email_ct": email_ct, "now": now}
    await connection.execute(_SET_EMAIL, values)


async def set_profile(
    connection: AsyncConnection,
    person_id: UUID,
    *,
    name_ct: bytes | None,
    locale: str | None,
    keep_avatar: bool,
    avatar_ct: bytes | None,
    now: datetime,
) -> None:
    """Changes what is given; None leaves name and locale, and removes a picture that is not kept."""
    values = {
        "person": person_id,
        "name_ct": name_ct,
        "locale": locale,
        "keep_avatar": keep_avatar,
        "avatar_ct": avatar_ct,
        "now": now,
    }
    await connection.execute(_SET_PROFILE, values)


async def prepare_totp(connection: AsyncConnection, person_id: UUID, secret_ct: bytes, now: datetime) -> bool:
    """Keeps a secret that is not confirmed yet; False when a second factor is on."""
    values = {"person": person_id, "secret": secret_ct, "now": now}
    return (await connection.execute(_PREPARE_TOTP, values)).one_or_none() is not None


async def confirm_totp(
    connection: AsyncConnection, person_id: UUID, secret_ct: bytes, step: int, now: datetime
) -> bool:
    """Turns the second factor on by a code of this secret; True for one caller."""
    values = {"person": person_id, "secret": secret_ct, "step": step, "now": now}
    return (await connection.execute(_CONFIRM_TOTP, values)).one_or_none() is not None


async def use_step(connection: AsyncConnection, person_id: UUID, step: int) -> bool:
    """Uses a code; False when that one or a later one was used already."""
    return (
        await connection.execute(_USE_STEP, {"person": person_id, "step": step})
    ).one_or_none() is not None


async def disable_totp(connection: AsyncConnection, person_id: UUID, now: datetime) -> None:
    """Turns the second factor off, with its recovery codes."""
    await connection.execute(_DISABLE_TOTP, {"person": person_id, "now": now})
    await connection.execute(_END_CODES, {"person": person_id})


async def replace_codes(
    connection: AsyncConnection, person_id: UUID, hashes: list[bytes], now: datetime
) -> None:
    """Gives a person these recovery codes and no others."""
    await connection.execute(_END_CODES, {"person": person_id})
    await connection.execute(_ADD_CODES, {"person": person_id, "hashes": hashes, "now": now})


async def use_code(connection: AsyncConnection, person_id: UUID, code_hash: bytes) -> bool:
    """Uses a recovery code; True for one caller."""
    return (
        await connection.execute(_USE_CODE, {"person": person_id, "hash": code_hash})
    ).one_or_none() is not None


def _person(row: Any) -> PersonRow | None:
    if row is None:
        return None
    return PersonRow(
        id=row.id,
        email_hash=bytes(row.email_hash),
        email_ct=bytes(row.email_ct),
        name_ct=bytes(row.name_ct),
        has_avatar=row.has_avatar,
        password_hash=row.password_hash,
        password_changed_at=row.password_changed_at,
        totp_ct=_bytes(row.totp_ct),
        totp_confirmed_at=row.totp_confirmed_at,
        locale=row.locale,
        created_at=row.created_at,
        recovery_codes=row.recovery_codes,
        personal_account=row.personal_account,
    )


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)
