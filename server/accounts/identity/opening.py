"""Making a person whose e-mail is verified: person, personal account, ledger, welcome credit and first session at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.ids import derived_uuid7
from server.accounts import store as accounts_store
from server.accounts.identity import store
from server.accounts.identity.beginning import NewSession, SignedIn, begin_session, prepare_session
from server.accounts.identity.errors import conflict
from server.accounts.identity.parts import Device, Identity, note
from server.accounts.identity.profile import opened_profile, sealed_email, sealed_name
from server.accounts.identity.session_store import SessionRow
from server.logs.activity import note_activity
from server.notifications.posting import Letter, post_email, seal_letter
from server.privacy.recording import record_at_sign_up
from server.runtime.database import member_transaction

_PLAN = "free"
_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Who is to be made a person."""

    person_id: UUID
    email: str
    """In its normal form, verified."""
    email_hash: bytes
    name: str
    locale: str
    accepted: Mapping[str, str]
    """Versions of the texts that were accepted, by purpose, as `check_sign_up` let them pass."""
    password_hash: str | None


@dataclass(frozen=True, slots=True)
class Opening:
    """Everything sealed and ready, so that the transaction waits for nothing else."""

    newcomer: Newcomer
    account_id: UUID
    email_ct: bytes
    name_ct: bytes
    account_email_ct: bytes
    account_name_ct: bytes
    session: NewSession
    welcome: Letter


async def prepare_opening(identity: Identity, newcomer: Newcomer, device: Device) -> Opening:
    """Makes the data keys, unless a call for the same sign-up made them already, and seals."""
    person_id = newcomer.person_id
    # The same for every call of one sign-up, so that a hundred at once leave two keys behind and not two hundred.
    account_id = derived_uuid7(person_id, b"personal account")
    await identity.envelope.create_data_key(person_id)
    await identity.envelope.create_data_key(account_id)
    seal = identity.envelope.seal
    dollars = f"{identity.catalog.welcome_micros / _MICROS:.2f}"
    return Opening(
        newcomer=newcomer,
        account_id=account_id,
        email_ct=await sealed_email(identity, person_id, newcomer.email),
        name_ct=await sealed_name(identity, person_id, newcomer.name),
        account_email_ct=await seal(account_id, "account.email", account_id, newcomer.email.encode()),
        account_name_ct=await seal(account_id, "account.name", account_id, newcomer.name.encode()),
        session=await prepare_session(identity, person_id, device),
        welcome=await seal_letter(
            identity.envelope,
            template="credits.welcome",
            event_key=f"credits.welcome:{account_id}",
            data={"amount": dollars},
            sealed_by=person_id,
            person_id=person_id,
            account_id=account_id,
        ),
    )


@asynccontextmanager
async def opening_transaction(identity: Identity, opening: Opening) -> AsyncIterator[AsyncConnection]:
    """The transaction in which a person is opened, with whatever entitles to it."""
    async with member_transaction(
        identity.engine, opening.account_id, opening.newcomer.person_id
    ) as connection:
        yield connection


async def open_person(identity: Identity, connection: AsyncConnection, opening: Opening) -> SessionRow:
    """Writes all of it.

    Raises:
        BabySeaError: CONFLICT when somebody has the e-mail by now.
    """
    now = identity.clock.now()
    new = opening.newcomer
    made = await store.insert_person(
        connection,
        person_id=new.person_id,
        email_hash=new.email_hash,
        email_ct=opening.email_ct,
        name_ct=opening.name_ct,
        password_hash=new.password_hash,
        locale=new.locale,
        now=now,
    )
    if not made:
        raise conflict("The e-mail is verified already; sign in.")
    await accounts_store.insert_account(
        connection, opening.account_id, _PLAN, opening.account_name_ct, opening.account_email_ct
    )
    await store.make_owner(connection, opening.account_id, new.person_id, now)
    await accounts_store.open_ledger(connection, opening.account_id, identity.catalog.plan(_PLAN).in_flight)
    await _grant_welcome(identity, connection, opening)
    person = await store.get_person(connection, new.person_id)
    if person is None:
        raise LookupError("a person that was just written cannot be read")
    address_hash = opening.session.device.address_hash
    await record_at_sign_up(connection, new.person_id, new.accepted, address_hash)
    await note(connection, person, "signed_up")
    return await begin_session(identity, connection, new.person_id, opening.session, now, tell=False)


async def signed_in(identity: Identity, opening: Opening, session: SessionRow) -> SignedIn:
    """What the new person gets to see."""
    async with opening_transaction(identity, opening) as connection:
        person = await store.get_person(connection, opening.newcomer.person_id)
    if person is None:
        raise LookupError("a person that was just written cannot be read")
    profile = await opened_profile(identity, person)
    return SignedIn(opening.session.token, session, opening.session.device.user_agent, profile)


async def _grant_welcome(identity: Identity, connection: AsyncConnection, opening: Opening) -> None:
    micros = identity.catalog.welcome_micros
    now = identity.clock.now()
    if not micros or not await store.grant_welcome(
        connection, opening.account_id, opening.newcomer.email_hash, micros, now
    ):
        return
    await post_email(connection, opening.welcome)
    await note_activity(
        connection,
        account_id=opening.account_id,
        actor=None,
        category="credit",
        action="granted",
        details={"amount_micros": micros, "kind": "welcome"},
    )
