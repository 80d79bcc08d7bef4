"""Signing in: a password, and a second factor where the person has one.

An unknown e-mail and a wrong password take the same steps and the same time. Every attempt is counted for the e-mail before
it is made, known or not, and while the wait lasts a right password is refused like a wrong one. Sessions that stand and a
reset of the password are not touched by any of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from kit.errors import BabySeaError
from server.accounts.identity import store, token_store
from server.accounts.identity.addresses import email_hash, normalised_email
from server.accounts.identity.beginning import SignedIn, begin_session, prepare_session
from server.accounts.identity.errors import sign_in_again, wrong_credentials
from server.accounts.identity.parts import Device, Identity, note
from server.accounts.identity.profile import opened_profile
from server.accounts.identity.second_factor import Proof, find_proof, use_proof
from server.accounts.identity.store import Known, PersonRow
from server.accounts.tokens import SECOND_FACTOR_LIFE, make_token, new_token, token_hash
from server.runtime.database import person_transaction, statement

SIGN_IN = "sign_in"
"""What attempts are counted for."""

_SECOND_FACTOR = "second_factor"


@dataclass(frozen=True, slots=True)
class AskedForCode:
    """The first factor was right; the second one is to follow."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FirstFactor:
    """What was proven before the second factor: for whom, and how things stood then."""

    person_id: UUID
    password_changed_at: datetime | None
    method: str
    """"password" or "oidc"."""


async def sign_in(
    identity: Identity, device: Device, *, email: str, password: str, totp_code: str, recovery_code: str
) -> SignedIn | AskedForCode:
    """A session, or the question for the second factor.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED, the same for every e-mail; AUTH_RATE_LIMITED after too many attempts;
            SERVICE_UNAVAILABLE when too many passwords are being checked.
    """
    looked_up = email_hash(identity.envelope, _as_stored(email))
    await identity.throttle.take(SIGN_IN, looked_up)
    async with statement(identity.engine) as connection:
        known = await store.find_by_email(connection, looked_up)
    stored = None if known is None else known.password_hash
    if not await identity.passwords.matches(password, stored) or known is None or stored is None:
        raise wrong_credentials()
    async with statement(identity.engine) as connection:
        await identity.throttle.clear(connection, SIGN_IN, looked_up)
    await _renew_hash(identity, known, stored, password)
    first = FirstFactor(known.id, known.password_changed_at, "password")
    return await go_on(identity, device, first, totp_code=totp_code, recovery_code=recovery_code)


async def go_on(
    identity: Identity, device: Device, first: FirstFactor, *, totp_code: str = "", recovery_code: str = ""
) -> SignedIn | AskedForCode:
    """What follows the first factor.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED for a wrong code; AUTH_RATE_LIMITED after too many.
    """
    person = await _person(identity, first.person_id)
    if person.totp_confirmed_at is None:
        return await _begin(identity, device, person, first, None)
    if not totp_code and not recovery_code:
        return await _ask(identity, person)
    proof = await find_proof(identity, person, totp_code, recovery_code)
    return await _begin(identity, device, person, first, proof)


async def confirm_sign_in(
    identity: Identity, device: Device, *, token: str, totp_code: str, recovery_code: str
) -> SignedIn:
    """The session of a sign-in that waits for its second factor.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED for a wrong code, and for a sign-in that is over; AUTH_RATE_LIMITED after too
            many codes.
    """
    hashed = token_hash(identity.envelope, _SECOND_FACTOR, token)
    found = await token_store.find_token(identity.engine, _SECOND_FACTOR, hashed, identity.clock.now())
    if found is None:
        raise sign_in_again()
    person = await _person(identity, found.person_id)
    proof = await find_proof(identity, person, totp_code, recovery_code)
    # A change of the password ends the token, so that what it was made with needs no second look.
    first = FirstFactor(person.id, person.password_changed_at, "confirmed")
    return await _begin(identity, device, person, first, proof, waiting=hashed)


async def _ask(identity: Identity, person: PersonRow) -> AskedForCode:
    token = new_token()
    async with person_transaction(identity.engine, person.id) as connection:
        await make_token(
            connection,
            identity.envelope,
            identity.clock,
            _SECOND_FACTOR,
            person.id,
            SECOND_FACTOR_LIFE,
            token=token,
        )
    return AskedForCode(token)


async def _begin(
    identity: Identity,
    device: Device,
    person: PersonRow,
    first: FirstFactor,
    proof: Proof | None,
    *,
    waiting: bytes | None = None,
) -> SignedIn:
    new = await prepare_session(identity, person.id, device)
    now = identity.clock.now()
    async with person_transaction(identity.engine, person.id) as connection:
        locked = await store.lock_person(connection, person.id)
        # Whatever was proven may have changed meanwhile, and those who changed it have ended every session that stood.
        if locked is None or locked.password_changed_at != first.password_changed_at:
            raise sign_in_again()
        if locked.totp_confirmed_at != person.totp_confirmed_at:
            raise sign_in_again()
        if waiting is not None and not await token_store.use_token(connection, _SECOND_FACTOR, waiting, now):
            raise sign_in_again()
        if proof is not None:
            await use_proof(identity, connection, locked, proof)
        session = await begin_session(identity, connection, person.id, new, now, tell=True)
        await note(connection, locked, "signed_in", target=session.id, details={"method": first.method})
        left = await store.get_person(connection, person.id)
    return SignedIn(new.token, session, device.user_agent, await opened_profile(identity, left or locked))


async def _person(identity: Identity, person_id: UUID) -> PersonRow:
    async with person_transaction(identity.engine, person_id) as connection:
        person = await store.get_person(connection, person_id)
    if person is None:
        raise sign_in_again()
    return person


async def _renew_hash(identity: Identity, known: Known, stored: str, password: str) -> None:
    if not identity.passwords.is_outdated(stored):
        return
    renewed = await identity.passwords.hash(password)
    async with person_transaction(identity.engine, known.id) as connection:
        await store.rehash(connection, known.id, stored, renewed)


def _as_stored(email: str) -> str:
    """The address as it is looked up; text that is none goes on as an address that nobody has."""
    try:
        return normalised_email(email)
    except BabySeaError:
        return email.strip().lower()
