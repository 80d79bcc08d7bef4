"""All SQL of what waits for a token: sign-ups, and tokens of people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.runtime.database import statement

_BEGIN_SIGN_UP = text(
    "select accounts.begin_sign_up(cast(:token_hash as bytea), cast(:id as uuid), cast(:email_hash as bytea),"
    " cast(:email_ct as bytea), cast(:name_ct as bytea), cast(:password_hash as text), cast(:locale as text),"
    " cast(:accepted as jsonb), cast(:sealed_by as uuid), cast(:now as timestamptz), cast(:expires as timestamptz))"
)
_REPEAT_SIGN_UP = text(
    "select accounts.repeat_sign_up(cast(:email_hash as bytea),"
    " cast(:token_hash as bytea), cast(:now as timestamptz), cast(:expires as timestamptz))"
)
_TRY_SIGN_UP = text(
    "select id, email_hash, email_ct, name_ct, password_hash, locale, accepted, sealed_by"
    " from accounts.try_sign_up(cast(:token_hash as bytea), cast(:now as timestamptz), cast(:most as int))"
)
_RETURN_TRY = text("select accounts.return_try(cast(:token_hash as bytea))")
_USE_SIGN_UP = text("select accounts.use_sign_up(cast(:token_hash as bytea), cast(:now as timestamptz))")
_FIND_TOKEN = text(
    "select person_id, email_hash, email_ct"
    " from accounts.find_token(cast(:kind as text), cast(:token_hash as bytea), cast(:now as timestamptz))"
)
_USE_TOKEN = text(
    "select accounts.use_token(cast(:kind as text), cast(:token_hash as bytea), cast(:now as timestamptz))"
)
_END_TOKENS = text("delete from accounts.token where person_id = :person")


@dataclass(frozen=True, slots=True)
class SignUpRow:
    """A sign-up that waits for its verification; what people wrote is sealed under `sealed_by`."""

    id: UUID
    email_hash: bytes
    email_ct: bytes
    name_ct: bytes
    password_hash: str
    locale: str
    accepted: Mapping[str, str]
    """Versions of the texts that were accepted, by purpose."""
    sealed_by: UUID


@dataclass(frozen=True, slots=True)
class TokenRow:
    """Whose a token is, and for a change of e-mail the new address."""

    person_id: UUID
    email_hash: bytes | None
    email_ct: bytes | None


async def begin_sign_up(
    connection: AsyncConnection, row: SignUpRow, token_hash: bytes, now: datetime, expires: datetime
) -> bool:
    """Keeps a sign-up; True when somebody has the e-mail already."""
    values = {
        "token_hash": token_hash,
        "id": row.id,
        "email_hash": row.email_hash,
        "email_ct": row.email_ct,
        "name_ct": row.name_ct,
        "password_hash": row.password_hash,
        "locale": row.locale,
        "accepted": json.dumps(dict(row.accepted)),
        "sealed_by": row.sealed_by,
        "now": now,
        "expires": expires,
    }
    return bool((await connection.execute(_BEGIN_SIGN_UP, values)).scalar_one())


async def repeat_sign_up(
    connection: AsyncConnection, email_hash: bytes, token_hash: bytes, now: datetime, expires: datetime
) -> bool | None:
    """Another token for a waiting sign-up: whether somebody has the e-mail already; None where none waits."""
    values = {"email_hash": email_hash, "token_hash": token_hash, "now": now, "expires": expires}
    known: bool | None = (await connection.execute(_REPEAT_SIGN_UP, values)).scalar_one()
    return known


async def try_sign_up(engine: AsyncEngine, token_hash: bytes, now: datetime, most: int) -> SignUpRow | None:
    """The sign-up of a token that works, counted as one of at most `most` tries of its password."""
    async with statement(engine) as connection:
        values = {"token_hash": token_hash, "now": now, "most": most}
        row = (await connection.execute(_TRY_SIGN_UP, values)).one_or_none()
    if row is None:
        return None
    return SignUpRow(
        id=row.id,
        email_hash=bytes(row.email_hash),
        email_ct=bytes(row.email_ct),
        name_ct=bytes(row.name_ct),
        password_hash=row.password_hash,
        locale=row.locale,
        accepted=json.loads(row.accepted),
        sealed_by=row.sealed_by,
    )


async def return_try(engine: AsyncEngine, token_hash: bytes) -> None:
    """Takes a try back that was none."""
    async with statement(engine) as connection:
        await connection.execute(_RETURN_TRY, {"token_hash": token_hash})


async def use_sign_up(connection: AsyncConnection, token_hash: bytes, now: datetime) -> bool:
    """Uses a sign-up's token, and ends the others of its e-mail; True for one caller."""
    return bool((await connection.execute(_USE_SIGN_UP, {"token_hash": token_hash, "now": now})).scalar_one())


async def find_token(engine: AsyncEngine, kind: str, token_hash: bytes, now: datetime) -> TokenRow | None:
    """Whose a token is that works."""
    async with statement(engine) as connection:
        values = {"kind": kind, "token_hash": token_hash, "now": now}
        row = (await connection.execute(_FIND_TOKEN, values)).one_or_none()
    return None if row is None else TokenRow(row.person_id, _bytes(row.email_hash), _bytes(row.email_ct))


async def use_token(connection: AsyncConnection, kind: str, token_hash: bytes, now: datetime) -> bool:
    """Uses a token; True for one caller."""
    values = {"kind": kind, "token_hash": token_hash, "now": now}
    return bool((await connection.execute(_USE_TOKEN, values)).scalar_one())


async def end_tokens(connection: AsyncConnection, person_id: UUID) -> None:
    """Ends every token of a person."""
    await connection.execute(_END_TOKENS, {"person": person_id})


def _bytes(value: bytes | None) -> bytes | None:
    return None if value is None else bytes(value)
