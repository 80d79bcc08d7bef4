"""All SQL of invitations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.runtime.database import statement

_COLUMNS = "id, email_ct, role, invited_by, created_at, expires_at, renewals"
_OPEN = "account_id = :account and accepted_at is null and removed_at is null"
_INSERT = text(
    "insert into accounts.invitation (id, account_id, email_hash, email_ct, role, token_hash, invited_by, created_at,"  # noqa: S608
    " expires_at) values (:id, :account, :email_hash, :email_ct, :role, :token_hash, :invited_by, :now, :expires)"
    " on conflict (account_id, email_hash) where accepted_at is null and removed_at is null do nothing"
    f" returning {_COLUMNS}"
)
_LIST = text(
    f"select {_COLUMNS} from accounts.invitation where {_OPEN}"  # noqa: S608
    " and (cast(:before_at as timestamptz) is null"
    "      or (created_at, id) < (cast(:before_at as timestamptz), cast(:before_id as uuid)))"
    " order by created_at desc, id desc limit :limit offset :offset"
)
_COUNT = text(f"select count(*) from accounts.invitation where {_OPEN}")  # noqa: S608
_GET = text(f"select {_COLUMNS} from accounts.invitation where {_OPEN} and id = :id")  # noqa: S608
_RENEW = text(
    "update accounts.invitation set token_hash = :token_hash, expires_at = :expires, invited_by = :person,"  # noqa: S608
    f" renewals = renewals + 1 where {_OPEN} and id = :id and renewals = :renewals returning {_COLUMNS}"
)
_SET_ROLE = text(
    f"update accounts.invitation set role = :role where {_OPEN} and id = :id returning {_COLUMNS}"  # noqa: S608
)
_REMOVE = text(
    f"update accounts.invitation set removed_at = :now, email_ct = null where {_OPEN} and id = :id"  # noqa: S608
)
_END = text(
    f"update accounts.invitation set removed_at = :now, email_ct = null where {_OPEN} and invited_by = :person"  # noqa: S608
)
_FIND = text(
    "select account_id, name_ct, role, expires_at from accounts.find_invitation(cast(:hash as bytea))"
)
_ACCEPT = text(
    "select word, account_id, invitation_id, role"
    " from accounts.accept_invitation(cast(:hash as bytea), cast(:now as timestamptz))"
)
_ENTER = text("select set_config('app.account_id', :account, true)")
_BUDGET = text(
    "select accounts.take_budget(cast(:key as bytea), cast(:now as timestamptz), cast(:limit as int),"
    " cast(:window as interval))"
)


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """An open invitation as it is stored; the address is sealed under the account's key."""

    id: UUID
    email_ct: bytes
    role: str
    invited_by: UUID
    created_at: datetime
    expires_at: datetime
    renewals: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a token invites to."""

    account_id: UUID
    name_ct: bytes
    role: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What became of an acceptance; ids and role only where the word is "accepted" or "member"."""

    word: str
    account_id: UUID | None
    invitation_id: UUID | None
    role: str | None


async def insert_invitation(
    connection: AsyncConnection,
    *,
    invitation_id: UUID,
    account_id: UUID,
    email_hash: bytes,
    email_ct: bytes,
    role: str,
    token_hash: bytes,
    invited_by: UUID,
    now: datetime,
    expires: datetime,
) -> InvitationRow | None:
    """Writes an invitation; None when the team has an open one for the address."""
    values = {
        "id": invitation_id,
        "account": account_id,
        "email_hash": email_hash,
        "email_ct": email_ct,
        "role": role,
        "token_hash": token_hash,
        "invited_by": invited_by,
        "now": now,
        "expires": expires,
    }
    return _row((await connection.execute(_INSERT, values)).one_or_none())


async def list_invitations(
    connection: AsyncConnection,
    account_id: UUID,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
    offset: int,
) -> list[InvitationRow]:
    """Open and expired invitations, newest first; `before` is the place where the last page ended."""
    values = {
        "account": account_id,
        "before_at": None if before is None else before[0],
        "before_id": None if before is None else before[1],
        "limit": limit,
        "offset": offset,
    }
    return [_invitation(row) for row in await connection.execute(_LIST, values)]


async def count_invitations(connection: AsyncConnection, account_id: UUID) -> int:
    """How many invitations of an account are open or expired."""
    return int((await connection.execute(_COUNT, {"account": account_id})).scalar_one())


async def get_invitation(
    connection: AsyncConnection, account_id: UUID, invitation_id: UUID
) -> InvitationRow | None:
    """An open or expired invitation."""
    values = {"account": account_id, "id": invitation_id}
    return _row((await connection.execute(_GET, values)).one_or_none())


async def renew_invitation(
    connection: AsyncConnection,
    account_id: UUID,
    known: InvitationRow,
    *,
    person_id: UUID,
    token_hash: bytes,
    expires: datetime,
) -> InvitationRow | None:
    """Makes an invitation another member's, with another token; None when it has ended or was renewed since `known`."""
    values = {
        "account": account_id,
        "person": person_id,
        "id": known.id,
        "renewals": known.renewals,
        "token_hash": token_hash,
        "expires": expires,
    }
    return _row((await connection.execute(_RENEW, values)).one_or_none())


async def set_invitation_role(
    connection: AsyncConnection, account_id: UUID, invitation_id: UUID, role: str
) -> InvitationRow | None:
    """Changes where an invitation leads; None when it has ended."""
    values = {"account": account_id, "id": invitation_id, "role": role}
    return _row((await connection.execute(_SET_ROLE, values)).one_or_none())


async def remove_invitation(
    connection: AsyncConnection, account_id: UUID, invitation_id: UUID, now: datetime
) -> bool:
    """Takes an invitation back and forgets its address; False when it has ended already."""
    values = {"account": account_id, "id": invitation_id, "now": now}
    return bool((await connection.execute(_REMOVE, values)).rowcount)


async def end_invitations_of(
    connection: AsyncConnection, account_id: UUID, person_id: UUID, now: datetime
) -> int:
    """Takes back every invitation that a member wrote or renewed last; how many."""
    values = {"account": account_id, "person": person_id, "now": now}
    return int((await connection.execute(_END, values)).rowcount)


async def find_invitation(engine: AsyncEngine, token_hash: bytes) -> Preview | None:
    """What a token invites to."""
    async with statement(engine) as connection:
        row = (await connection.execute(_FIND, {"hash": token_hash})).one_or_none()
    return None if row is None else Preview(row.account_id, bytes(row.name_ct), row.role, row.expires_at)


async def accept_invitation(connection: AsyncConnection, token_hash: bytes, now: datetime) -> Acceptance:
    """Makes the transaction's person a member; afterwards the transaction is one of the team, too."""
    row = (await connection.execute(_ACCEPT, {"hash": token_hash, "now": now})).one()
    if row.word == "accepted":
        await connection.execute(_ENTER, {"account": str(row.account_id)})
    return Acceptance(row.word, row.account_id, row.invitation_id, row.role)


async def take_budget(
    connection: AsyncConnection, key: bytes, now: datetime, limit: int, window: timedelta
) -> int:
    """Takes one of what is counted under a key: 0 where there was one, otherwise the seconds until there is."""
    values = {"key": key, "now": now, "limit": limit, "window": window}
    return int((await connection.execute(_BUDGET, values)).scalar_one())


def _row(row: Row[Any] | None) -> InvitationRow | None:
    return None if row is None else _invitation(row)


def _invitation(row: Row[Any]) -> InvitationRow:
    return InvitationRow(
        id=row.id,
        email_ct=bytes(row.email_ct),
        role=row.role,
        invited_by=row.invited_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        renewals=row.renewals,
    )
