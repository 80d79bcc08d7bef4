"""The second factor: turning it on, turning it off, and its recovery codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from kit.ids import uuid7
from server.accounts.identity import store, token_store
from server.accounts.identity.beginning import lock_self, rotate
from server.accounts.identity.errors import conflict, session_over, wrong_code
from server.accounts.identity.parts import Identity, note
from server.accounts.identity.password_change import prove_password
from server.accounts.identity.profile import opened_email
from server.accounts.identity.recovery import code_hash, new_codes
from server.accounts.identity.second_factor import find_proof, first_step, forget_tries, use_proof
from server.accounts.identity.store import PersonRow
from server.accounts.identity.totp import new_secret, otpauth_uri
from server.notifications.posting import Letter, post_email, seal_letter
from server.runtime.database import person_transaction
from server.runtime.identity import Member

_ON = "The second factor is on already; turn it off first."
_OFF = "The second factor is off."


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret to put into an authenticator, shown once."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The own session's new token, and the recovery codes, both shown once."""

    token: str = field(repr=False)
    codes: list[str] = field(repr=False)


async def begin_totp(identity: Identity, member: Member, *, password: str) -> Enrolment:
    """A secret that counts once a first code has confirmed it; a secret before it is forgotten.

    Raises:
        BabySeaError: INVALID_INPUT for a wrong password; CONFLICT when a second factor is on.
    """
    person = await prove_password(identity, member, password, "password")
    secret = new_secret()
    sealed = await identity.envelope.seal(person.id, "person.totp", person.id, secret.encode())
    email = await opened_email(identity, person.id, person.email_ct)
    async with person_transaction(identity.engine, person.id) as connection:
        if not await store.prepare_totp(connection, person.id, sealed, identity.clock.now()):
            raise conflict(_ON)
    return Enrolment(secret, otpauth_uri(secret, email, identity.region))


async def confirm_totp(identity: Identity, member: Member, *, totp_code: str) -> Enrolled:
    """Turns the second factor on, with ten recovery codes; every other session ends.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED for a wrong code; AUTH_RATE_LIMITED after too many; CONFLICT when no secret
            waits, or one is on.
    """
    person = await _self(identity, member)
    if person.totp_confirmed_at is not None:
        raise conflict(_ON)
    if person.totp_ct is None:
        raise conflict("Begin with a secret before a code can confirm it.")
    step = await first_step(identity, person, totp_code)
    codes = new_codes()
    hashes = [code_hash(identity.envelope, person.id, code) for code in codes]
    letter = await _notice(identity, person.id, "auth.mfa_enabled")
    now = identity.clock.now()
    async with person_transaction(identity.engine, person.id) as connection:
        locked = await lock_self(connection, person.id)
        if not await store.confirm_totp(connection, person.id, person.totp_ct, step, now):
            raise wrong_code()
        await store.replace_codes(connection, person.id, hashes, now)
        await token_store.end_tokens(connection, person.id)
        await forget_tries(identity, connection, person.id)
        token = await rotate(identity, connection, member, locked, now)
        await post_email(connection, letter)
        await note(connection, locked, "mfa_enabled")
    return Enrolled(token, codes)


async def disable_totp(identity: Identity, member: Member, *, totp_code: str, recovery_code: str) -> str:
    """Turns the second factor off; every other session ends, and the own one gets a new token.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED for a wrong code; AUTH_RATE_LIMITED after too many; CONFLICT when it is off.
    """
    person = await _with_totp(identity, member)
    proof = await find_proof(identity, person, totp_code, recovery_code)
    letter = await _notice(identity, person.id, "auth.mfa_disabled")
    now = identity.clock.now()
    async with person_transaction(identity.engine, person.id) as connection:
        locked = await lock_self(connection, person.id)
        if locked.totp_confirmed_at is None:
            raise conflict(_OFF)
        await use_proof(identity, connection, locked, proof)
        await store.disable_totp(connection, person.id, now)
        await token_store.end_tokens(connection, person.id)
        token = await rotate(identity, connection, member, locked, now)
        await post_email(connection, letter)
        await note(connection, locked, "mfa_disabled")
    return token


async def regenerate_codes(identity: Identity, member: Member, *, totp_code: str) -> list[str]:
    """Ten new recovery codes in place of the old ones.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED for a wrong code; AUTH_RATE_LIMITED after too many; CONFLICT when the second
            factor is off.
    """
    person = await _with_totp(identity, member)
    proof = await find_proof(identity, person, totp_code, "")
    codes = new_codes()
    hashes = [code_hash(identity.envelope, person.id, code) for code in codes]
    async with person_transaction(identity.engine, person.id) as connection:
        locked = await lock_self(connection, person.id)
        await use_proof(identity, connection, locked, proof)
        await store.replace_codes(connection, person.id, hashes, identity.clock.now())
        await note(connection, locked, "recovery_codes_regenerated")
    return codes


async def _self(identity: Identity, member: Member) -> PersonRow:
    async with person_transaction(identity.engine, member.person_id) as connection:
        person = await store.get_person(connection, member.person_id)
    if person is None:
        raise session_over()
    return person


async def _with_totp(identity: Identity, member: Member) -> PersonRow:
    person = await _self(identity, member)
    if person.totp_confirmed_at is None:
        raise conflict(_OFF)
    return person


async def _notice(identity: Identity, person_id: UUID, template: str) -> Letter:
    return await seal_letter(
        identity.envelope,
        template=template,
        event_key=f"{template}:{uuid7()}",
        data={},
        sealed_by=person_id,
        person_id=person_id,
    )
