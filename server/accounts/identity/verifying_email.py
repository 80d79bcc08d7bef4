"""Verifying an e-mail: the token of the letter and the password of the sign-up turn it into a person.

The token proves who reads the mailbox, the password who signed up. Both are asked for because the two need not be one: a
stranger may sign up with somebody's address and wait until its owner follows the link.
"""

from __future__ import annotations

from kit.errors import BabySeaError
from server.accounts.identity import token_store
from server.accounts.identity.beginning import SignedIn
from server.accounts.identity.errors import not_the_chosen_one, spent_token
from server.accounts.identity.opening import (
    Newcomer,
    open_person,
    opening_transaction,
    prepare_opening,
    signed_in,
)
from server.accounts.identity.parts import Device, Identity
from server.accounts.identity.signing_up import SIGN_UP
from server.accounts.identity.token_store import SignUpRow
from server.accounts.tokens import token_hash
from server.runtime.encryption import DecryptionError

MOST_TRIES = 5
"""Wrong passwords that end a token."""


async def verify_email(identity: Identity, device: Device, *, token: str, password: str) -> SignedIn:
    """Makes the person with a personal account, its welcome credit and a session; of many calls one does.

    Raises:
        BabySeaError: INVALID_INPUT for a token that is unknown, used, too old or ended by wrong passwords;
            AUTHENTICATION_FAILED for a password that the sign-up did not choose; CONFLICT when somebody has the e-mail;
            SERVICE_UNAVAILABLE when too many passwords are being checked.
    """
    hashed, now = token_hash(identity.envelope, SIGN_UP, token), identity.clock.now()
    row = await token_store.try_sign_up(identity.engine, hashed, now, MOST_TRIES)
    if row is None:
        raise spent_token()
    await _prove_chosen(identity, row, hashed, password)
    try:
        email = await identity.envelope.open(row.sealed_by, "sign_up.email", row.id, row.email_ct)
        name = await identity.envelope.open(row.sealed_by, "sign_up.name", row.id, row.name_ct)
    except DecryptionError:
        raise spent_token() from None
    newcomer = Newcomer(
        person_id=row.id,
        email=email.decode(),
        email_hash=row.email_hash,
        name=name.decode(),
        locale=row.locale,
        accepted=row.accepted,
        password_hash=row.password_hash,
    )
    opening = await prepare_opening(identity, newcomer, device)
    async with opening_transaction(identity, opening) as connection:
        if not await token_store.use_sign_up(connection, hashed, now):
            raise spent_token()
        session = await open_person(identity, connection, opening)
    return await signed_in(identity, opening, session)


async def _prove_chosen(identity: Identity, row: SignUpRow, hashed: bytes, password: str) -> None:
    """Lets the password pass that the sign-up chose; its try was counted before, so that many at once are no cheaper.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED; SERVICE_UNAVAILABLE when too many passwords are being checked.
    """
    try:
        right = await identity.passwords.matches(password, row.password_hash)
    except BabySeaError:
        await token_store.return_try(identity.engine, hashed)
        raise
    if not right:
        raise not_the_chosen_one()
    await token_store.return_try(identity.engine, hashed)
