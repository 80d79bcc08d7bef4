"""Signing in with an OpenID provider, and linking one to a person.

The state is random and stored only as a keyed hash; nonce and PKCE verifier follow from it and the region's key, and the
browser that began keeps a secret without which nobody can end. An e-mail that the provider has not verified proves nothing,
and one that somebody has already links only after signing in.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from kit.ids import uuid7
from server.accounts.identity import session_store, store
from server.accounts.identity.addresses import email_hash, normalised_email
from server.accounts.identity.beginning import SignedIn, lock_self
from server.accounts.identity.errors import conflict, not_found, session_over, sign_in_again
from server.accounts.identity.oidc_provider import Claims, OidcProvider, OidcProviders
from server.accounts.identity.opening import (
    Newcomer,
    open_person,
    opening_transaction,
    prepare_opening,
    signed_in,
)
from server.accounts.identity.parts import Device, Identity, note
from server.accounts.identity.profile import DEFAULT_LOCALE, checked_person_name
from server.accounts.identity.session_store import LinkedRow
from server.accounts.identity.signing_in import AskedForCode, FirstFactor, go_on
from server.accounts.tokens import new_token, token_hash
from server.notifications.posting import post_email, seal_letter
from server.privacy.recording import check_sign_up
from server.runtime.database import person_transaction, statement
from server.runtime.identity import Member

_STATE = "oidc_state"
_BROWSER = "oidc_browser"
_LIFE = timedelta(minutes=10)
_NOBODY = "New person"


@dataclass(frozen=True, slots=True)
class Way:
    """The way to a provider, and what stays in the browser."""

    url: str = field(repr=False)
    browser_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Return:
    """What came back."""

    state: str = field(repr=False)
    code: str = field(repr=False)
    browser_token: str = field(repr=False)


async def begin_oidc(
    identity: Identity, providers: OidcProviders, *, provider: str, person_id: UUID | None
) -> Way:
    """The way to a provider; with a person, to link it.

    Raises:
        BabySeaError: NOT_FOUND for an unknown provider; SERVICE_UNAVAILABLE when it cannot be asked.
    """
    chosen = providers.get(provider)
    state, browser = new_token(), new_token()
    nonce, verifier = _derived(identity, state)
    url = await chosen.authorization_url(state=state, nonce=nonce, verifier=verifier)
    await session_store.begin_oidc(
        identity.engine,
        state_hash=token_hash(identity.envelope, _STATE, state),
        browser_hash=token_hash(identity.envelope, _BROWSER, browser),
        provider=provider,
        person_id=person_id,
        expires=identity.clock.now() + _LIFE,
    )
    return Way(url, browser)


async def finish_oidc(
    identity: Identity,
    providers: OidcProviders,
    device: Device,
    back: Return,
    *,
    locale: str,
    accepted: Mapping[str, str],
) -> SignedIn | AskedForCode:
    """The session of whom the provider names: somebody known by this identity, or somebody new.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED when the way is over, or the provider does not confirm or has not verified the
            e-mail; CONFLICT when somebody has the e-mail already; INVALID_INPUT when somebody new did not accept the
            texts; SERVICE_UNAVAILABLE when the provider is away.
    """
    claims = await _claims(identity, providers, back, None)
    subject = _subject_hash(identity, claims)
    known = await session_store.find_identity(identity.engine, claims.issuer, subject)
    if known is not None:
        async with person_transaction(identity.engine, known) as connection:
            person = await store.get_person(connection, known)
        if person is None:
            raise sign_in_again()
        return await go_on(identity, device, FirstFactor(known, person.password_changed_at, "oidc"))
    return await _open(identity, device, claims, subject, locale=locale, accepted=accepted)


async def link_identity(
    identity: Identity, providers: OidcProviders, member: Member, back: Return
) -> LinkedRow:
    """Links the identity that came back to the person of the call, who must have begun, and tells the person by letter.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED when the way is over or the provider does not confirm; CONFLICT when the
            identity is linked already; SERVICE_UNAVAILABLE when the provider is away.
    """
    claims = await _claims(identity, providers, back, member.person_id)
    row = LinkedRow(uuid7(), claims.issuer, identity.clock.now())
    letter = await seal_letter(
        identity.envelope,
        template="auth.identity_linked",
        event_key=f"auth.identity_linked:{row.id}",
        data={},
        sealed_by=member.person_id,
        person_id=member.person_id,
    )
    async with person_transaction(identity.engine, member.person_id) as connection:
        person = await lock_self(connection, member.person_id)
        # The provider takes its time, and whoever reset the password meanwhile wants no new way in.
        if not await session_store.stands(connection, person.id, member.session_id):
            raise session_over()
        if not await session_store.link_identity(connection, row, person.id, _subject_hash(identity, claims)):
            raise conflict("This identity is linked already.")
        await post_email(connection, letter)
        await note(connection, person, "identity_linked", target=row.id)
    return row


async def list_identities(identity: Identity, member: Member) -> list[LinkedRow]:
    """The person's identities, newest first."""
    async with person_transaction(identity.engine, member.person_id) as connection:
        return await session_store.linked_identities(connection, member.person_id)


async def unlink_identity(identity: Identity, member: Member, identity_id: UUID) -> None:
    """Unlinks an identity.

    Raises:
        BabySeaError: NOT_FOUND; CONFLICT while it is the only way to sign in.
    """
    async with person_transaction(identity.engine, member.person_id) as connection:
        person = await lock_self(connection, member.person_id)
        linked = await session_store.linked_identities(connection, person.id)
        if person.password_hash is None and [row.id for row in linked] == [identity_id]:
            raise conflict("This is the only way to sign in; set a password first.")
        if not await session_store.unlink_identity(connection, person.id, identity_id):
            raise not_found("There is no linked identity with this id.")
        await note(connection, person, "identity_unlinked", target=identity_id)


async def _claims(
    identity: Identity, providers: OidcProviders, back: Return, person_id: UUID | None
) -> Claims:
    now = identity.clock.now()
    # Used up before the provider is asked, and outside of any transaction: whatever comes of it, it works once.
    used = await session_store.use_oidc(
        identity.engine,
        token_hash(identity.envelope, _STATE, back.state),
        token_hash(identity.envelope, _BROWSER, back.browser_token),
        now,
    )
    if used is None or used[1] != person_id:
        raise sign_in_again()
    nonce, verifier = _derived(identity, back.state)
    provider: OidcProvider = providers.get(used[0])
    return await provider.claims(code=back.code, nonce=nonce, verifier=verifier, now=int(now.timestamp()))


async def _open(
    identity: Identity,
    device: Device,
    claims: Claims,
    subject: bytes,
    *,
    locale: str,
    accepted: Mapping[str, str],
) -> SignedIn:
    if not claims.email or not claims.email_verified:
        raise BabySeaError(
            error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED,
            "The provider has not verified your e-mail; verify it there, or sign up with a password.",
        )
    email = normalised_email(claims.email)
    hashed = email_hash(identity.envelope, email)
    async with statement(identity.engine) as connection:
        known = await store.find_by_email(connection, hashed)
    if known is not None:
        raise conflict("Your e-mail has an account; sign in to it and link the provider in your profile.")
    check_sign_up(accepted, identity.clock.now())
    newcomer = Newcomer(
        person_id=uuid7(),
        email=email,
        email_hash=hashed,
        name=_name(claims),
        locale=locale or DEFAULT_LOCALE,
        accepted=accepted,
        password_hash=None,
    )
    opening = await prepare_opening(identity, newcomer, device)
    row = LinkedRow(uuid7(), claims.issuer, identity.clock.now())
    async with opening_transaction(identity, opening) as connection:
        session = await open_person(identity, connection, opening)
        if not await session_store.link_identity(connection, row, newcomer.person_id, subject):
            raise sign_in_again()
    return await signed_in(identity, opening, session)


def _name(claims: Claims) -> str:
    for name in (claims.name, claims.email.partition("@")[0]):
        try:
            return checked_person_name(name)
        except BabySeaError:
            continue
    return _NOBODY


def _derived(identity: Identity, state: str) -> tuple[str, str]:
    """Nonce and PKCE verifier of a state."""
    made = (identity.envelope.keyed_hash(f"oidc.{name}", state.encode()) for name in ("nonce", "verifier"))
    nonce, verifier = (base64.urlsafe_b64encode(value).rstrip(b"=").decode() for value in made)
    return nonce, verifier


def _subject_hash(identity: Identity, claims: Claims) -> bytes:
    return identity.envelope.keyed_hash("oidc.subject", f"{claims.issuer}\x00{claims.subject}".encode())
