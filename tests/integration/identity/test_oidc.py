"""Signing in with an OpenID provider, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kit.clock import FixedClock
from kit.settings import Settings
from server.runtime.lifecycle import serve
from tests.integration.identity.people import People
from tests.support.openid_provider import OpenIdProvider, open_provider
from tests.support.region import TestRegion


@pytest.fixture
def provider(clock: FixedClock) -> Iterator[OpenIdProvider]:
    """A provider whose time is the server's."""
    with open_provider() as provider:
        provider.now = int(clock.at.timestamp())
        yield provider


@pytest.fixture
async def people(
    settings: Settings, region: TestRegion, clock: FixedClock, provider: OpenIdProvider, tmp_path: Path
) -> AsyncIterator[People]:
    """A server that knows the provider."""
    secret = tmp_path / "oidc.secret"
    secret.write_text(provider.client_secret)
    row = {
        "name": "local",
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "client_secret_file": str(secret),
        "redirect_uri": "http://127.0.0.1/back",
    }
    with_provider = settings.model_copy(update={"oidc_providers": json.dumps([row])})
    async with (
        serve(with_provider, clock=clock) as server,
        People.open(server.address, region, clock, with_provider) as client,
    ):
        yield client


async def come_back(people: People, provider: OpenIdProvider, subject: str, **claims: Any) -> dict[str, str]:
    """What a browser has in its hands after the provider."""
    begun = await people.call("BeginOidc", provider="local")
    back = provider.authorize(begun.authorization_url, subject, **claims)
    return {**back, "browser_token": begun.browser_token}


async def link(people: People, provider: OpenIdProvider, session: str, subject: str) -> Any:
    begun = await people.call("BeginLinkIdentity", session, provider="local")
    back = provider.authorize(begun.authorization_url, subject)
    return people.call("FinishLinkIdentity", session, **back, browser_token=begun.browser_token)


async def test_somebody_new_with_a_verified_email_becomes_a_person_and_comes_back_as_the_same(
    people: People, provider: OpenIdProvider
) -> None:
    claims = {"email": "Oidc@example.com", "email_verified": True, "name": "Olga Idc"}

    first = await people.call("FinishOidc", **await come_back(people, provider, "olga", **claims))
    second = await people.call("FinishOidc", **await come_back(people, provider, "olga"))

    assert first.signed_in.profile.email == "oidc@example.com"
    assert first.signed_in.profile.name == "Olga Idc"
    assert not first.signed_in.profile.has_password
    assert second.signed_in.profile.person_id == first.signed_in.profile.person_id
    listed = (await people.call("ListLinkedIdentities", second.signed_in.session_token)).identities
    assert [one.provider for one in listed] == ["local"]
    refused = await people.refused(
        "UnlinkIdentity", second.signed_in.session_token, identity_id=listed[0].identity_id
    )
    assert refused.spec.name == "CONFLICT"
    assert list((await people.call("ListOidcProviders")).providers) == ["local"]


@pytest.mark.parametrize("verified", [False, None, "true"])
async def test_an_email_that_the_provider_has_not_verified_opens_nothing(
    people: People, provider: OpenIdProvider, verified: object
) -> None:
    back = await come_back(people, provider, "mallory", email="m@example.com", email_verified=verified)

    assert (await people.refused("FinishOidc", **back)).spec.bse_code == "BSE1002"


async def test_an_email_that_has_an_account_links_only_after_signing_in(
    people: People, provider: OpenIdProvider
) -> None:
    person = await people.new_person()
    back = await come_back(people, provider, "ada", email=person.email, email_verified=True)
    assert (await people.refused("FinishOidc", **back)).spec.name == "CONFLICT"

    await (await link(people, provider, person.token, "ada"))
    done = await people.call("FinishOidc", **await come_back(people, provider, "ada"))

    assert done.signed_in.profile.person_id == str(person.id)
    other = await people.new_person()
    twice = await link(people, provider, other.token, "ada")
    with pytest.raises(Exception, match="linked already"):
        await twice
    told = "auth.identity_linked"
    assert (await people.letters(person.email)).count(told) == 1, "a new way in is told"
    assert told not in await people.letters(other.email)


async def test_a_session_that_ends_while_the_provider_is_asked_links_nothing(
    people: People, provider: OpenIdProvider
) -> None:
    person = await people.new_person()
    connection, watching = [await people.region.connect() for _ in range(2)]
    try:
        async with connection.transaction():
            await connection.execute(
                "select 1 from accounts.person where id = $1 for no key update", person.id
            )
            linking = asyncio.ensure_future(await link(people, provider, person.token, "late"))
            while not await watching.fetchval(
                "select exists (select 1 from pg_locks l join pg_stat_activity s using (pid)"
                " where not l.granted and s.datname = current_database())"
            ):
                assert not linking.done()
            await connection.execute(
                "update accounts.session set revoked_at = now() where person_id = $1", person.id
            )
    finally:
        await connection.close()
        await watching.close()

    with pytest.raises(Exception, match="session has ended"):
        await linking
    again = await people.sign_in(person)
    linked = await people.call("ListLinkedIdentities", again.session_token)
    assert not linked.identities


async def test_the_second_factor_is_asked_for_after_the_provider_too(
    people: People, provider: OpenIdProvider, clock: FixedClock
) -> None:
    person = await people.with_totp(await people.new_person())
    await (await link(people, provider, person.token, "two"))
    clock.at += timedelta(seconds=60)

    asked = await people.call("FinishOidc", **await come_back(people, provider, "two"))
    done = await people.call(
        "ConfirmSignIn", second_factor_token=asked.second_factor_token, totp_code=person.code(clock)
    )

    assert not asked.HasField("signed_in")
    assert done.signed_in.profile.person_id == str(person.id)


async def test_a_way_works_once_and_only_in_the_browser_that_began(
    people: People, provider: OpenIdProvider, clock: FixedClock
) -> None:
    claims = {"email": "once@example.com", "email_verified": True}
    back = await come_back(people, provider, "once", **claims)
    stolen = await people.refused("FinishOidc", **{**back, "browser_token": "x" * 43})
    await people.call("FinishOidc", **back)
    again = await people.refused("FinishOidc", **back)
    late = await come_back(people, provider, "once", **claims)
    clock.at += timedelta(minutes=11)

    assert stolen.spec.bse_code == again.spec.bse_code == "BSE1002"
    assert (await people.refused("FinishOidc", **late)).spec.bse_code == "BSE1002"


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "somebody-else"},
        {"iss": "http://127.0.0.1:1"},
        {"exp": 1},
        {"sub": None},
    ],
)
async def test_an_id_token_that_is_not_meant_for_this_sign_in_is_refused(
    people: People, provider: OpenIdProvider, changes: dict[str, Any]
) -> None:
    provider.changes = changes
    back = await come_back(people, provider, "bad", email="bad@example.com", email_verified=True)

    assert (await people.refused("FinishOidc", **back)).spec.bse_code == "BSE1002"


async def test_an_id_token_with_a_foreign_signature_is_refused(
    people: People, provider: OpenIdProvider
) -> None:
    provider.forged = True
    back = await come_back(people, provider, "forged", email="f@example.com", email_verified=True)

    assert (await people.refused("FinishOidc", **back)).spec.bse_code == "BSE1002"


async def test_linking_is_ended_by_the_person_who_began_it(people: People, provider: OpenIdProvider) -> None:
    victim, attacker = await people.new_person(), await people.new_person()
    begun = await people.call("BeginLinkIdentity", attacker.token, provider="local")
    back = provider.authorize(begun.authorization_url, "attacker")

    refused = await people.refused(
        "FinishLinkIdentity", victim.token, **back, browser_token=begun.browser_token
    )

    assert refused.spec.bse_code == "BSE1002"
