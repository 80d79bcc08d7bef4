"""Sessions of a person: seeing them and ending them. What ended is refused at the next call, in every process."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from server.accounts.identity import session_store
from server.accounts.identity.beginning import lock_self
from server.accounts.identity.errors import not_found
from server.accounts.identity.parts import Identity, note
from server.accounts.identity.session_store import SessionRow
from server.runtime.database import person_transaction
from server.runtime.identity import Member


@dataclass(frozen=True, slots=True)
class ShownSession:
    """A session, and what its client called itself."""

    row: SessionRow
    user_agent: str
    current: bool


async def list_sessions(identity: Identity, member: Member) -> list[ShownSession]:
    """The person's sessions that work, newest first."""
    async with person_transaction(identity.engine, member.person_id) as connection:
        rows = await session_store.list_sessions(connection, member.person_id, identity.clock.now())
    return [
        ShownSession(row, await opened_agent(identity, member.person_id, row), row.id == member.session_id)
        for row in rows
    ]


async def sign_out(identity: Identity, member: Member) -> None:
    """Ends the session of the call."""
    await _end(identity, member, member.session_id, "signed_out")


async def revoke_session(identity: Identity, member: Member, session_id: UUID) -> None:
    """Ends one session of the person; one that has ended stays so.

    Raises:
        BabySeaError: NOT_FOUND when the person has no such session.
    """
    if await _end(identity, member, session_id, "session_revoked") is None:
        raise not_found("There is no session with this id.")


async def revoke_other_sessions(identity: Identity, member: Member) -> int:
    """Ends every session of the person but that of the call; how many worked."""
    now = identity.clock.now()
    async with person_transaction(identity.engine, member.person_id) as connection:
        person = await lock_self(connection, member.person_id)
        ended = await session_store.end_sessions(connection, person.id, now, but=member.session_id)
        if ended:
            await note(connection, person, "sessions_ended", details={"count": ended})
    return ended


async def opened_agent(identity: Identity, person_id: UUID, row: SessionRow) -> str:
    """What the client of a session called itself; empty when it said nothing."""
    if row.user_agent_ct is None:
        return ""
    opened = await identity.envelope.open(person_id, "session.user_agent", row.id, row.user_agent_ct)
    return opened.decode()


async def _end(identity: Identity, member: Member, session_id: UUID, action: str) -> bool | None:
    async with person_transaction(identity.engine, member.person_id) as connection:
        person = await lock_self(connection, member.person_id)
        ended = await session_store.end_session(connection, person.id, session_id, identity.clock.now())
        if ended:
            await note(connection, person, action, target=session_id)
    return ended
