"""All SQL of keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_COLUMNS = (
    "id, account_id, public_id, name, scopes, allowlist, created_at, last_used_at, expires_at, revoked_at,"
    " rotated_at, replaced_by"
)

_FIND = text(
    "select id, account_id, hash, scopes, allowlist, expires_at, revoked_at, plan, restricted, requests_per_minute,"
    " rotated_at from keys.find_key(:public_id)"
)
_PUBLIC_ID = text("select keys.public_id_of(:id)")
_TOUCH = text("select keys.touch_key(:id)")
# The account is read under the same tenant's policy, so another tenant's account is as absent as one never made.
_INSERT = text(
    "insert into keys.api_key (id, account_id, public_id, hash, name, scopes, allowlist, expires_at)"  # noqa: S608
    " select :id, a.id, :public_id, :hash, :name, :scopes, :allowlist, cast(:expires_at as timestamptz)"
    " from accounts.account a where a.id = :account"
    f" returning {_COLUMNS}"
)
_GET = text(f"select {_COLUMNS} from keys.api_key where account_id = :account and id = :id")  # noqa: S608
_LOCK = text(
    f"select {_COLUMNS} from keys.api_key"  # noqa: S608
    " where account_id = :account and id = :id for no key update"
)
_LIST = text(
    f"select {_COLUMNS} from keys.api_key"  # noqa: S608
    " where account_id = :account"
    " and (cast(:before_at as timestamptz) is null"
    "      or (created_at, id) < (cast(:before_at as timestamptz), cast(:before_id as uuid)))"
    " order by created_at desc, id desc limit :limit offset :offset"
)
_COUNT = text("select count(*) from keys.api_key where account_id = :account")
_REVOKE = text(
    "update keys.api_key set revoked_at = coalesce(revoked_at, now())"  # noqa: S608
    f" where account_id = :account and id = :id returning {_COLUMNS}"
)
_ROTATE = text(
    "update keys.api_key set rotated_at = :at, replaced_by = :successor,"  # noqa: S608
    " expires_at = least(expires_at, cast(:until as timestamptz))"
    f" where account_id = :account and id = :id returning {_COLUMNS}"
)
_OWNED_NAME = text(
    "select name_ct from accounts.account where id = :account and primary_owner is not null and deleted_at is null"
)
# The Primary Owner is an owner too.
_OWNERS = text(
    "select person_id from accounts.membership where account_id = :account and role = 'owner' order by person_id"
)
_DELETE = text("delete from keys.api_key where account_id = :account and id = :id returning public_id")


@dataclass(frozen=True, slots=True)
class KeyState:
    """What decides whether a key works, and what its account may do."""

    id: UUID
    account_id: UUID
    hash: str
    scopes: frozenset[str]
    allowlist: tuple[str, ...]
    expires_at: datetime | None
    revoked_at: datetime | None
    rotated_at: datetime | None
    plan: str
    restricted: bool
    requests_per_minute: int | None


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as its owner sees it."""

    id: UUID
    account_id: UUID
    public_id: str
    name: str
    scopes: tuple[str, ...]
    allowlist: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    rotated_at: datetime | None
    replaced_by: UUID | None


async def find_key(engine: AsyncEngine, public_id: str) -> KeyState | None:
    """The state of a key before its tenant is known; None when no key has this id."""
    async with engine.connect() as connection:
        row = (await connection.execute(_FIND, {"public_id": public_id})).one_or_none()
    if row is None:
        return None
    return KeyState(
        id=row.id,
        account_id=row.account_id,
        hash=row.hash,
        scopes=frozenset(row.scopes),
        allowlist=tuple(row.allowlist),
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        rotated_at=row.rotated_at,
        plan=row.plan,
        restricted=row.restricted,
        requests_per_minute=row.requests_per_minute,
    )


async def public_id_of(engine: AsyncEngine, key_id: UUID) -> str | None:
    """The public id of a key of any account; None when there is no such key."""
    async with engine.connect() as connection:
        found: str | None = (await connection.execute(_PUBLIC_ID, {"id": key_id})).scalar_one()
    return found


async def touch_key(engine: AsyncEngine, key_id: UUID) -> None:
    """Notes that a key was used; writes at most once a minute and key."""
    async with engine.begin() as connection:
        await connection.execute(_TOUCH, {"id": key_id})


async def insert_key(
    connection: AsyncConnection,
    *,
    key_id: UUID,
    account_id: UUID,
    public_id: str,
    key_hash: str,
    name: str,
    scopes: Sequence[str],
    allowlist: Sequence[str],
    expires_at: datetime | None,
) -> KeyRecord | None:
    """Writes a new key; None when the account does not exist."""
    values = {
        "id": key_id,
        "account": account_id,
        "public_id": public_id,
        "hash": key_hash,
        "name": name,
        "scopes": list(scopes),
        "allowlist": list(allowlist),
        "expires_at": expires_at,
    }
    row = (await connection.execute(_INSERT, values)).one_or_none()
    return None if row is None else _record(row)


async def lock_key(connection: AsyncConnection, account_id: UUID, key_id: UUID) -> KeyRecord | None:
    """A key of an account, which nobody else changes before this transaction ends; None when it has no such key."""
    row = (await connection.execute(_LOCK, {"account": account_id, "id": key_id})).one_or_none()
    return None if row is None else _record(row)


async def mark_rotated(
    connection: AsyncConnection, old: KeyRecord, successor: UUID, at: datetime, until: datetime
) -> KeyRecord:
    """Notes that another key took the place of one; it works until `until` or its own expiry, whichever is first."""
    values = {"account": old.account_id, "id": old.id, "successor": successor, "at": at, "until": until}
    return _record((await connection.execute(_ROTATE, values)).one())


async def delete_key(connection: AsyncConnection, account_id: UUID, key_id: UUID) -> str | None:
    """Removes a key and gives its public id; None when the account has no such key."""
    found: str | None = (
        await connection.execute(_DELETE, {"account": account_id, "id": key_id})
    ).scalar_one_or_none()
    return found


async def get_key(connection: AsyncConnection, account_id: UUID, key_id: UUID) -> KeyRecord | None:
    """A key of an account; None when it has no such key."""
    row = (await connection.execute(_GET, {"account": account_id, "id": key_id})).one_or_none()
    return None if row is None else _record(row)


async def list_keys(
    connection: AsyncConnection,
    account_id: UUID,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
    offset: int,
) -> list[KeyRecord]:
    """Keys of an account, newest first; `before` is the place where the last page ended."""
    values = {
        "account": account_id,
        "before_at": None if before is None else before[0],
        "before_id": None if before is None else before[1],
        "limit": limit,
        "offset": offset,
    }
    return [_record(row) for row in await connection.execute(_LIST, values)]


async def count_keys(connection: AsyncConnection, account_id: UUID) -> int:
    """How many keys an account has, revoked ones too."""
    return int((await connection.execute(_COUNT, {"account": account_id})).scalar_one())


async def revoke_key(connection: AsyncConnection, account_id: UUID, key_id: UUID) -> KeyRecord | None:
    """Ends a key; the first revocation's time stands. None when the account has no such key."""
    row = (await connection.execute(_REVOKE, {"account": account_id, "id": key_id})).one_or_none()
    return None if row is None else _record(row)


async def owned_name(connection: AsyncConnection, account_id: UUID) -> bytes | None:
    """The sealed name of an account that has a Primary Owner; None when nobody has it."""
    found: bytes | None = (
        await connection.execute(_OWNED_NAME, {"account": account_id})
    ).scalar_one_or_none()
    return None if found is None else bytes(found)


async def list_owners(connection: AsyncConnection, account_id: UUID) -> list[UUID]:
    """The owners of an account, its Primary Owner among them."""
    return [row.person_id for row in await connection.execute(_OWNERS, {"account": account_id})]


def _record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        account_id=row.account_id,
        public_id=row.public_id,
        name=row.name,
        scopes=tuple(row.scopes),
        allowlist=tuple(row.allowlist),
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        rotated_at=row.rotated_at,
        replaced_by=row.replaced_by,
    )
