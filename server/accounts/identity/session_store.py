"""All SQL of sessions and linked identities, in transactions of their own person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.runtime.database import statement

_INSERT = text(
    "insert into accounts.session (id, person_id, token_hash, created_at, last_seen_at, expires_at, address_hash,"
    " device_hash, user_agent_ct) values (:id, :person, :token_hash, :now, :now, :expires, :address_hash,"
    " :device_hash, cast(:user_agent_ct as bytea))"
)
_SEEN = text(
    "select exists (select 1 from accounts.session where person_id = :person and device_hash = :device_hash)"
)
_COLUMNS = "id, created_at, last_seen_at, expires_at, user_agent_ct"
_LIST = text(
    f"select {_COLUMNS} from accounts.session where person_id = :person and revoked_at is null"  # noqa: S608
    " and expires_at > :now order by created_at desc, id desc limit 200"
)
_END = text(
    "update accounts.session n set revoked_at = coalesce(n.revoked_at, :now) from accounts.session o"
    " where n.person_id = :person and n.id = :id and o.id = n.id returning o.revoked_at is null as worked"
)
_END_OTHERS = text(
    "update accounts.session set revoked_at = :now where person_id = :person and revoked_at is null"
    " and expires_at > :now and id is distinct from cast(:but as uuid)"
)
_ROTATE = text(
    "update accounts.session set token_hash = :token_hash where person_id = :person and id = :id"
    " and revoked_at is null returning id"
)
_STANDS = text(
    "select exists (select 1 from accounts.session where person_id = :person and id = :id and revoked_at is null)"
)
_LINK = text(
    "insert into accounts.linked_identity (id, person_id, issuer, subject_hash, created_at)"
    " values (:id, :person, :issuer, :subject_hash, :now) on conflict (issuer, subject_hash) do nothing returning id"
)
_LINKED = text(
    "select id, issuer, created_at from accounts.linked_identity where person_id = :person"
    " order by created_at desc, id desc"
)
_UNLINK = text("delete from accounts.linked_identity where person_id = :person and id = :id returning id")
_FIND_IDENTITY = text("select accounts.find_identity(cast(:issuer as text), cast(:subject_hash as bytea))")
_BEGIN_OIDC = text(
    "select accounts.begin_oidc(cast(:state_hash as bytea), cast(:browser_hash as bytea), cast(:provider as text),"
    " cast(:person as uuid), cast(:expires as timestamptz))"
)
_USE_OIDC = text(
    "select provider, person_id from accounts.use_oidc(cast(:state_hash as bytea), cast(:browser_hash as bytea),"
    " cast(:now as timestamptz))"
)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as its person sees it; what the client called itself is sealed."""

    id: UUID
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    user_agent_ct: bytes | None


@dataclass(frozen=True, slots=True)
class LinkedRow:
    """An identity at an OpenID provider."""

    id: UUID
    issuer: str
    created_at: datetime


async def insert_session(
    connection: AsyncConnection,
    *,
    session_id: UUID,
    person_id: UUID,
    token_hash: bytes,
    address_hash: bytes,
    device_hash: bytes,
    user_agent_ct: bytes | None,
    now: datetime,
    expires: datetime,
) -> SessionRow:
    """Begins a session."""
    values = {
        "id": session_id,
        "person": person_id,
        "token_hash": token_hash,
        "address_hash": address_hash,
        "device_hash": device_hash,
        "user_agent_ct": user_agent_ct,
        "now": now,
        "expires": expires,
    }
    await connection.execute(_INSERT, values)
    return SessionRow(session_id, now, now, expires, user_agent_ct)


async def device_seen(connection: AsyncConnection, person_id: UUID, device_hash: bytes) -> bool:
    """Whether the person signed in from this device before."""
    return bool(
        (await connection.execute(_SEEN, {"person": person_id, "device_hash": device_hash})).scalar_one()
    )


async def list_sessions(connection: AsyncConnection, person_id: UUID, now: datetime) -> list[SessionRow]:
    """The sessions that work, newest first."""
    rows = await connection.execute(_LIST, {"person": person_id, "now": now})
    return [_session(row) for row in rows]


async def end_session(
    connection: AsyncConnection, person_id: UUID, session_id: UUID, now: datetime
) -> bool | None:
    """Ends a session: whether it worked until now; None when the person has none of this id."""
    values = {"person": person_id, "id": session_id, "now": now}
    worked: bool | None = (await connection.execute(_END, values)).scalar_one_or_none()
    return worked


async def end_sessions(
    connection: AsyncConnection, person_id: UUID, now: datetime, *, but: UUID | None = None
) -> int:
    """Ends every session of a person but one; how many worked."""
    values = {"person": person_id, "but": but, "now": now}
    return (await connection.execute(_END_OTHERS, values)).rowcount


async def rotate_session(
    connection: AsyncConnection, person_id: UUID, session_id: UUID, token_hash: bytes
) -> bool:
    """Gives a session another token; False when it has ended."""
    values = {"person": person_id, "id": session_id, "token_hash": token_hash}
    return (await connection.execute(_ROTATE, values)).one_or_none() is not None


async def stands(connection: AsyncConnection, person_id: UUID, session_id: UUID) -> bool:
    """Whether a session was not ended; true until the transaction ends where the person is locked."""
    return bool((await connection.execute(_STANDS, {"person": person_id, "id": session_id})).scalar_one())


async def link_identity(
    connection: AsyncConnection, row: LinkedRow, person_id: UUID, subject_hash: bytes
) -> bool:
    """Links an identity; False when it is linked already, to whomever."""
    values = {
        "id": row.id,
        "person": person_id,
        "issuer": row.issuer,
        "subject_hash": subject_hash,
        "now": row.created_at,
    }
    return (await connection.execute(_LINK, values)).one_or_none() is not None


async def linked_identities(connection: AsyncConnection, person_id: UUID) -> list[LinkedRow]:
    """The person's identities, newest first."""
    rows = await connection.execute(_LINKED, {"person": person_id})
    return [LinkedRow(row.id, row.issuer, row.created_at) for row in rows]


async def unlink_identity(connection: AsyncConnection, person_id: UUID, identity_id: UUID) -> bool:
    """Unlinks an identity; False when the person has none of this id."""
    values = {"person": person_id, "id": identity_id}
    return (await connection.execute(_UNLINK, values)).one_or_none() is not None


async def find_identity(engine: AsyncEngine, issuer: str, subject_hash: bytes) -> UUID | None:
    """Whose identity it is."""
    async with statement(engine) as connection:
        values = {"issuer": issuer, "subject_hash": subject_hash}
        found: UUID | None = (await connection.execute(_FIND_IDENTITY, values)).scalar_one_or_none()
    return found


async def begin_oidc(
    engine: AsyncEngine,
    *,
    state_hash: bytes,
    browser_hash: bytes,
    provider: str,
    person_id: UUID | None,
    expires: datetime,
) -> None:
    """Notes that somebody went to a provider."""
    values = {
        "state_hash": state_hash,
        "browser_hash": browser_hash,
        "provider": provider,
        "person": person_id,
        "expires": expires,
    }
    async with statement(engine) as connection:
        await connection.execute(_BEGIN_OIDC, values)


async def use_oidc(
    engine: AsyncEngine, state_hash: bytes, browser_hash: bytes, now: datetime
) -> tuple[str, UUID | None] | None:
    """Uses a state: provider, and who links; None for a state that is unknown, used, too old, or another browser's."""
    async with statement(engine) as connection:
        values = {"state_hash": state_hash, "browser_hash": browser_hash, "now": now}
        row = (await connection.execute(_USE_OIDC, values)).one_or_none()
    return None if row is None else (row.provider, row.person_id)


def _session(row: Any) -> SessionRow:
    sealed = None if row.user_agent_ct is None else bytes(row.user_agent_ct)
    return SessionRow(row.id, row.created_at, row.last_seen_at, row.expires_at, sealed)
