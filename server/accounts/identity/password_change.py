"""Changing a password, with the present one or by the token of a letter."""

from __future__ import annotations

from uuid import UUID

from kit.ids import uuid7
from server.accounts.identity import session_store, store, token_store
from server.accounts.identity.addresses import email_hash, normalised_email
from server.accounts.identity.beginning import lock_self, rotate
from server.accounts.identity.errors import session_over, sign_in_again, spent_token, wrong_password
from server.accounts.identity.parts import Device, Identity, note
from server.accounts.identity.passwords import check_password
from server.accounts.identity.profile import opened_email
from server.accounts.identity.signing_in import SIGN_IN
from server.accounts.identity.store import PersonRow
from server.accounts.tokens import token_hash
from server.notifications.posting import Letter, post_email, post_reset, seal_letter
from server.runtime.database import person_transaction, system_transaction
from server.runtime.identity import Member

_RESET = "password_reset"
_PROOF = "password_proof"


async def change_password(identity: Identity, member: Member, *, current: str, new: str) -> str:
    """Sets another password and ends every other session; the new token of the own one.

    Raises:
        BabySeaError: INVALID_INPUT naming the field; AUTH_RATE_LIMITED after too many wrong ones; AUTHENTICATION_FAILED
            when the session has ended meanwhile.
    """
    person = await prove_password(identity, member, current, "current_password")
    email = await opened_email(identity, person.id, person.email_ct)
    check_password(new, email, "new_password")
    hashed = await identity.passwords.hash(new)
    letter = await _notice(identity, person.id)
    now = identity.clock.now()
    async with person_transaction(identity.engine, person.id) as connection:
        locked = await lock_self(connection, person.id)
        if locked.password_changed_at != person.password_changed_at:
            raise sign_in_again()
        await store.set_password(connection, person.id, hashed, now)
        await token_store.end_tokens(connection, person.id)
        token = await rotate(identity, connection, member, locked, now)
        await post_email(connection, letter)
        await note(connection, locked, "password_changed")
    return token


async def request_reset(identity: Identity, device: Device, *, email: str) -> None:
    """Queues a letter for whoever has the e-mail when it is sent; the work is the same when nobody has.

    Raises:
        BabySeaError: INVALID_INPUT; AUTH_RATE_LIMITED for a network that asks too often.
    """
    looked_up = email_hash(identity.envelope, normalised_email(email))
    await identity.throttle.take_ask(device.address)
    async with system_transaction(identity.engine) as connection:
        if await identity.throttle.may_write(connection, _RESET, looked_up):
            await post_reset(connection, looked_up, f"auth.password_reset:{uuid7()}")


async def reset_password(identity: Identity, *, token: str, password: str) -> None:
    """Sets a new password, ends every session and every wait of the sign-in.

    Raises:
        BabySeaError: INVALID_INPUT for a token that is unknown, used or too old, and for a password that is not taken.
    """
    hashed, now = token_hash(identity.envelope, _RESET, token), identity.clock.now()
    found = await token_store.find_token(identity.engine, _RESET, hashed, now)
    if found is None:
        raise spent_token()
    async with person_transaction(identity.engine, found.person_id) as connection:
        person = await store.get_person(connection, found.person_id)
    if person is None:
        raise spent_token()
    check_password(password, await opened_email(identity, person.id, person.email_ct))
    password_hash = await identity.passwords.hash(password)
    letter = await _notice(identity, person.id)
    async with person_transaction(identity.engine, person.id) as connection:
        locked = await lock_self(connection, person.id)
        if not await token_store.use_token(connection, _RESET, hashed, now):
            raise spent_token()
        await store.set_password(connection, person.id, password_hash, now)
        await token_store.end_tokens(connection, person.id)
        await session_store.end_sessions(connection, person.id, now)
        await identity.throttle.clear(connection, SIGN_IN, locked.email_hash)
        await post_email(connection, letter)
        await note(connection, locked, "password_reset")


async def prove_password(identity: Identity, member: Member, password: str, field: str) -> PersonRow:
    """The person of the call, who knows the present password or has none.

    Raises:
        BabySeaError: INVALID_INPUT naming the field; AUTH_RATE_LIMITED after too many wrong ones.
    """
    async with person_transaction(identity.engine, member.person_id) as connection:
        person = await store.get_person(connection, member.person_id)
    if person is None:
        raise session_over()
    if person.password_hash is None:
        return person
    await identity.throttle.take(_PROOF, person.id.bytes)
    if not await identity.passwords.matches(password, person.password_hash):
        raise wrong_password(field)
    async with person_transaction(identity.engine, person.id) as connection:
        await identity.throttle.clear(connection, _PROOF, person.id.bytes)
    return person


async def _notice(identity: Identity, person_id: UUID) -> Letter:
    return await seal_letter(
        identity.envelope,
        template="auth.password_changed",
        event_key=f"auth.password_changed:{uuid7()}",
        data={},
        sealed_by=person_id,
        person_id=person_id,
    )
