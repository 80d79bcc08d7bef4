"""Signing up: asking for an account. What comes next is told by letter, and to the caller the answer is always the same.

Whether somebody has the e-mail already changes which letter is posted and nothing else: the same hash is computed, the same
rows are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from kit.ids import uuid7
from server.accounts.identity import token_store
from server.accounts.identity.addresses import email_hash, normalised_email
from server.accounts.identity.parts import Device, Identity
from server.accounts.identity.passwords import check_password
from server.accounts.identity.profile import DEFAULT_LOCALE, checked_person_name
from server.accounts.identity.token_store import SignUpRow
from server.accounts.tokens import VERIFICATION_HOURS, new_token, token_hash
from server.notifications.posting import Letter, post_email, seal_letter
from server.privacy.recording import check_sign_up
from server.runtime.database import system_transaction

SIGN_UP = "sign_up"
"""Kind of the token that verifies a sign-up."""

_LIFE = timedelta(hours=VERIFICATION_HOURS)


async def sign_up(
    identity: Identity,
    device: Device,
    *,
    email: str,
    password: str,
    name: str,
    locale: str,
    accepted: Mapping[str, str],
) -> None:
    """Keeps the sign-up for a day and writes to the e-mail: a token, or that it has an account already.

    Raises:
        BabySeaError: INVALID_INPUT naming the field; AUTH_RATE_LIMITED for a network that asks too often;
            SERVICE_UNAVAILABLE when too many passwords are being hashed.
    """
    email = normalised_email(email)
    name = checked_person_name(name)
    check_password(password, email)
    check_sign_up(accepted, identity.clock.now())
    await identity.throttle.take_ask(device.address)
    password_hash = await identity.passwords.hash(password)
    token, sign_up_id = new_token(), uuid7()
    owner = await identity.day_keys.today()
    row = SignUpRow(
        id=sign_up_id,
        email_hash=email_hash(identity.envelope, email),
        email_ct=await identity.envelope.seal(owner, "sign_up.email", sign_up_id, email.encode()),
        name_ct=await identity.envelope.seal(owner, "sign_up.name", sign_up_id, name.encode()),
        password_hash=password_hash,
        locale=locale or DEFAULT_LOCALE,
        accepted=accepted,
        sealed_by=owner,
    )
    verify, known = await _letters(identity, row.sealed_by, email, token)
    now = identity.clock.now()
    hashed = token_hash(identity.envelope, SIGN_UP, token)
    async with system_transaction(identity.engine) as connection:
        is_known = await token_store.begin_sign_up(connection, row, hashed, now, now + _LIFE)
        if await identity.throttle.may_write(connection, SIGN_UP, row.email_hash):
            await post_email(connection, known if is_known else verify)


async def resend_verification(identity: Identity, device: Device, *, email: str) -> None:
    """Writes again to an e-mail whose sign-up waits, as after `sign_up`; earlier letters go on working.

    Raises:
        BabySeaError: INVALID_INPUT; AUTH_RATE_LIMITED for a network that asks too often.
    """
    email = normalised_email(email)
    await identity.throttle.take_ask(device.address)
    token, now = new_token(), identity.clock.now()
    hashed = token_hash(identity.envelope, SIGN_UP, token)
    verify, known = await _letters(identity, await identity.day_keys.today(), email, token)
    looked_up = email_hash(identity.envelope, email)
    async with system_transaction(identity.engine) as connection:
        may_write = await identity.throttle.may_write(connection, SIGN_UP, looked_up)
        is_known = await token_store.repeat_sign_up(connection, looked_up, hashed, now, now + _LIFE)
        if may_write and is_known is not None:
            await post_email(connection, known if is_known else verify)


async def _letters(identity: Identity, owner: UUID, email: str, token: str) -> tuple[Letter, Letter]:
    """The letter with the token, and the one that tells of an account that is there already."""
    verify = await seal_letter(
        identity.envelope,
        template="auth.verify_email",
        event_key=f"auth.verify_email:{uuid7()}",
        data={"token": token, "hours": str(VERIFICATION_HOURS)},
        sealed_by=owner,
        to=email,
    )
    known = await seal_letter(
        identity.envelope,
        template="auth.already_registered",
        event_key=f"auth.already_registered:{uuid7()}",
        data={},
        sealed_by=owner,
        to=email,
    )
    return verify, known
