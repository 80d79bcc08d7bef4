"""Beginning a session, and giving one another token when what it rests on has changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.ids import uuid7
from server.accounts.identity import session_store, store
from server.accounts.identity.errors import session_over
from server.accounts.identity.parts import Device, Identity, note
from server.accounts.identity.profile import ProfileView
from server.accounts.identity.session_store import SessionRow
from server.accounts.identity.store import PersonRow
from server.accounts.sessions import IDLE, new_token, token_hash
from server.notifications.posting import Letter, post_email, seal_letter
from server.runtime.identity import Member


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that is about to begin, sealed and ready, so that its transaction waits for nothing else."""

    id: UUID
    token: str = field(repr=False)
    user_agent_ct: bytes | None
    device: Device
    notice: Letter


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that has begun; its token is shown once."""

    token: str = field(repr=False)
    session: SessionRow
    user_agent: str
    profile: ProfileView


async def prepare_session(identity: Identity, person_id: UUID, device: Device) -> NewSession:
    """A session to begin for a person whose data key exists."""
    session_id = uuid7()
    sealed = None
    if device.user_agent:
        sealed = await identity.envelope.seal(
            person_id, "session.user_agent", session_id, device.user_agent.encode()
        )
    notice = await seal_letter(
        identity.envelope,
        template="auth.new_sign_in",
        event_key=f"auth.new_sign_in:{session_id}",
        data={"device": device.user_agent or "a program without a name"},
        sealed_by=person_id,
        person_id=person_id,
    )
    return NewSession(session_id, new_token(identity.region), sealed, device, notice)


async def begin_session(
    identity: Identity,
    connection: AsyncConnection,
    person_id: UUID,
    new: NewSession,
    now: datetime,
    *,
    tell: bool,
) -> SessionRow:
    """Begins it in the person's transaction; where `tell`, a device that was not seen before is told by letter."""
    if tell and not await session_store.device_seen(connection, person_id, new.device.device_hash):
        await post_email(connection, new.notice)
    return await session_store.insert_session(
        connection,
        session_id=new.id,
        person_id=person_id,
        token_hash=token_hash(identity.envelope, new.token),
        address_hash=new.device.address_hash,
        device_hash=new.device.device_hash,
        user_agent_ct=new.user_agent_ct,
        now=now,
        expires=now + IDLE,
    )


async def lock_self(connection: AsyncConnection, person_id: UUID) -> PersonRow:
    """The person of the call, who stays as it is until the transaction ends.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED when the person is gone.
    """
    person = await store.lock_person(connection, person_id)
    if person is None:
        raise session_over()
    return person


async def rotate(
    identity: Identity, connection: AsyncConnection, member: Member, person: PersonRow, now: datetime
) -> str:
    """Ends every other session of the person and gives the one of the call another token.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED when that session has ended meanwhile.
    """
    token = new_token(identity.region)
    hashed = token_hash(identity.envelope, token)
    if not await session_store.rotate_session(connection, person.id, member.session_id, hashed):
        raise session_over()
    ended = await session_store.end_sessions(connection, person.id, now, but=member.session_id)
    if ended:
        await note(connection, person, "sessions_ended", details={"count": ended})
    return token
