"""Proving the second factor: a code of the authenticator or a recovery code, each of them once."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from server.accounts.identity import store
from server.accounts.identity.errors import wrong_code
from server.accounts.identity.parts import Identity, note
from server.accounts.identity.recovery import code_hash
from server.accounts.identity.store import PersonRow
from server.accounts.identity.totp import step_of
from server.notifications.posting import Letter, post_email, seal_letter

_THROTTLE = "second_factor"


@dataclass(frozen=True, slots=True)
class Proof:
    """A code that fits and is to be used: a time step, or a recovery code with the letter that tells of it."""

    step: int | None = None
    recovery_hash: bytes | None = None
    letter: Letter | None = None


async def find_proof(identity: Identity, person: PersonRow, totp_code: str, recovery_code: str) -> Proof:
    """What a code proves; every try is counted for the person, whichever kind of code it is.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED for a wrong code; AUTH_RATE_LIMITED after too many.
    """
    await identity.throttle.take(_THROTTLE, person.id.bytes)
    if totp_code:
        step = await _step(identity, person, totp_code)
        if step is None:
            raise wrong_code()
        return Proof(step=step)
    if not recovery_code:
        raise wrong_code()
    hashed = code_hash(identity.envelope, person.id, recovery_code)
    letter = await seal_letter(
        identity.envelope,
        template="auth.recovery_code_used",
        event_key=f"auth.recovery_code_used:{hashed.hex()[:32]}",
        data={"left": str(max(0, person.recovery_codes - 1))},
        sealed_by=person.id,
        person_id=person.id,
    )
    return Proof(recovery_hash=hashed, letter=letter)


async def use_proof(identity: Identity, connection: AsyncConnection, person: PersonRow, proof: Proof) -> None:
    """Uses the code up in the transaction of what it opens, and forgets the tries before it.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED when it was used already.
    """
    if proof.step is not None:
        if not await store.use_step(connection, person.id, proof.step):
            raise wrong_code()
    elif proof.recovery_hash is not None and proof.letter is not None:
        if not await store.use_code(connection, person.id, proof.recovery_hash):
            raise wrong_code()
        await post_email(connection, proof.letter)
        await note(
            connection, person, "recovery_code_used", details={"left": max(0, person.recovery_codes - 1)}
        )
    await forget_tries(identity, connection, person.id)


async def forget_tries(identity: Identity, connection: AsyncConnection, person_id: UUID) -> None:
    """Forgets the tries of codes before one that was right."""
    await identity.throttle.clear(connection, _THROTTLE, person_id.bytes)


async def first_step(identity: Identity, person: PersonRow, totp_code: str) -> int:
    """The time step of a first code, before the second factor is on; counted like every other try.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED for a wrong code; AUTH_RATE_LIMITED after too many.
    """
    await identity.throttle.take(_THROTTLE, person.id.bytes)
    step = await _step(identity, person, totp_code)
    if step is None:
        raise wrong_code()
    return step


async def _step(identity: Identity, person: PersonRow, totp_code: str) -> int | None:
    if person.totp_ct is None:
        return None
    secret = await identity.envelope.open(person.id, "person.totp", person.id, person.totp_ct)
    return step_of(secret.decode(), totp_code, identity.clock.now())
