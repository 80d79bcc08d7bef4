"""Moving to another e-mail: asked for with the password, confirmed by a letter to the new one, told to the old one."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.exc import IntegrityError

from kit.errors import invalid
from kit.ids import uuid7
from server.accounts.identity import store, token_store
from server.accounts.identity.addresses import email_hash, normalised_email
from server.accounts.identity.beginning import lock_self, rotate
from server.accounts.identity.errors import conflict, spent_token
from server.accounts.identity.parts import Device, Identity, note
from server.accounts.identity.password_change import prove_password
from server.accounts.identity.profile import opened_email, read_profile, sealed_email
from server.accounts.tokens import VERIFICATION_HOURS, make_token, new_token, token_hash
from server.notifications.posting import post_email, seal_letter
from server.runtime.database import member_transaction, person_transaction
from server.runtime.identity import Member

_CHANGE = "email_change"
_LIFE = timedelta(hours=VERIFICATION_HOURS)


async def request_email_change(
    identity: Identity, member: Member, device: Device, *, email: str, password: str
) -> None:
    """Writes to the new e-mail: a token, or that it has an account already. The answer does not tell which.

    Raises:
        BabySeaError: INVALID_INPUT naming the field; AUTH_RATE_LIMITED after too many wrong passwords, and for a network
            that asks too often.
    """
    email = normalised_email(email)
    person = await prove_password(identity, member, password, "password")
    looked_up = email_hash(identity.envelope, email)
    if looked_up == person.email_hash:
        raise invalid("email", "That is your e-mail already.")
    await identity.throttle.take_ask(device.address)
    token = new_token()
    email_ct = await sealed_email(identity, person.id, email)
    confirm = await seal_letter(
        identity.envelope,
        template="auth.email_change_confirm",
        event_key=f"auth.email_change_confirm:{uuid7()}",
        data={"token": token, "hours": str(VERIFICATION_HOURS)},
        sealed_by=person.id,
        person_id=person.id,
        to=email,
    )
    known = await seal_letter(
        identity.envelope,
        template="auth.already_registered",
        event_key=f"auth.already_registered:{uuid7()}",
        data={},
        sealed_by=person.id,
        to=email,
    )
    async with person_transaction(identity.engine, person.id) as connection:
        locked = await lock_self(connection, person.id)
        is_known = await store.find_by_email(connection, looked_up) is not None
        await make_token(
            connection,
            identity.envelope,
            identity.clock,
            _CHANGE,
            person.id,
            _LIFE,
            token=token,
            email_hash=looked_up,
            email_ct=email_ct,
        )
        if await identity.throttle.may_write(connection, _CHANGE, looked_up):
            await post_email(connection, known if is_known else confirm)
        await note(connection, locked, "email_change_requested")


async def confirm_email_change(identity: Identity, member: Member, *, token: str) -> str:
    """Moves the person of the call to the e-mail of a token and ends every other session; the new token of the own one.

    Raises:
        BabySeaError: INVALID_INPUT for a token that is unknown, used, too old or another person's; CONFLICT when somebody
            has the e-mail by now.
    """
    hashed, now = token_hash(identity.envelope, _CHANGE, token), identity.clock.now()
    found = await token_store.find_token(identity.engine, _CHANGE, hashed, now)
    if found is None or found.person_id != member.person_id or not found.email_ct or not found.email_hash:
        raise spent_token()
    new = await opened_email(identity, member.person_id, found.email_ct)
    old = await read_profile(identity, member.person_id)
    account = old.personal_account
    account_ct = None
    if account is not None:
        account_ct = await identity.envelope.seal(account, "account.email", account, new.encode())
    letter = await seal_letter(
        identity.envelope,
        template="auth.email_changed",
        event_key=f"auth.email_changed:{uuid7()}",
        data={},
        sealed_by=old.id,
        person_id=old.id,
        to=old.email,
    )
    try:
        async with member_transaction(identity.engine, account or old.id, old.id) as connection:
            person = await lock_self(connection, old.id)
            if not await token_store.use_token(connection, _CHANGE, hashed, now):
                raise spent_token()
            await store.set_email(connection, old.id, found.email_hash, found.email_ct, now)
            if account is not None and account_ct is not None:
                await store.set_account_email(connection, account, account_ct)
            await token_store.end_tokens(connection, old.id)
            rotated = await rotate(identity, connection, member, person, now)
            await post_email(connection, letter)
            await note(connection, person, "email_changed")
    except IntegrityError as error:
        raise conflict("The e-mail has an account by now; choose another one.") from error
    return rotated
