"""Tokens in letters: random, used once, and stored only as keyed hashes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from kit.clock import Clock
from kit.ids import random_base62
from server.runtime.encryption import Envelope

VERIFICATION_HOURS = 24
"""How long a sign-up or a change of e-mail can be confirmed."""

RESET_LIFE = timedelta(minutes=30)
"""How long a password can be reset, from the moment at which the letter is sent."""

SECOND_FACTOR_LIFE = timedelta(minutes=5)
"""How long a sign-in waits for its second factor."""

_CHARACTERS = 43
_MAKE = text(
    "select accounts.make_token(cast(:hash as bytea), cast(:kind as text), cast(:person as uuid),"
    " cast(:email_hash as bytea), cast(:email_ct as bytea), cast(:now as timestamptz), cast(:expires as timestamptz))"
)


def new_token() -> str:
    """A new token: 256 random bits in base 62."""
    return random_base62(_CHARACTERS)


def token_hash(envelope: Envelope, kind: str, token: str) -> bytes:
    """What is stored of a token of a kind; a token is nothing as one of another kind."""
    return envelope.keyed_hash(f"token.{kind}", token.encode())


async def make_token(
    connection: AsyncConnection,
    envelope: Envelope,
    clock: Clock,
    kind: str,
    person_id: UUID,
    life: timedelta,
    *,
    token: str | None = None,
    email_hash: bytes | None = None,
    email_ct: bytes | None = None,
) -> str:
    """A token of a person, kept in the caller's transaction by babysea_app or babysea_worker.

    Args:
        connection: the caller's.
        envelope: hashes.
        clock: says when it begins.
        kind: "password_reset", "email_change" or "second_factor".
        person_id: whose it is.
        life: how long it works.
        token: the token to keep; None makes one.
        email_hash: for a change of e-mail, the new address as it is looked up.
        email_ct: the same, sealed as the person's.
    """
    token = token or new_token()
    now = clock.now()
    values = {
        "hash": token_hash(envelope, kind, token),
        "kind": kind,
        "person": person_id,
        "email_hash": email_hash,
        "email_ct": email_ct,
        "now": now,
        "expires": now + life,
    }
    await connection.execute(_MAKE, values)
    return token


def reset_token_maker(envelope: Envelope, clock: Clock) -> Callable[[AsyncConnection, UUID], Awaitable[str]]:
    """What the sender of letters calls for a password reset: it makes the token when the letter is sent."""

    async def make_reset_token(connection: AsyncConnection, person_id: UUID) -> str:
        return await make_token(connection, envelope, clock, "password_reset", person_id, RESET_LIFE)

    return make_reset_token
