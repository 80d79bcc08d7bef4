"""Signing up: a letter, a token, and a person with an account and a credit."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc

from kit.clock import FixedClock
from kit.errors import BabySeaError
from kit.rpc import error_of
from tests.integration.identity.people import PASSWORD, People
from tests.support.letters import letters_to
from tests.support.region import TestRegion

WELCOME = 1_000_000


async def balance(region: TestRegion, account_id: object) -> int:
    connection = await region.connect()
    try:
        found: int = await connection.fetchval("select posted from ledger.account where id = $1", account_id)
    finally:
        await connection.close()
    return found


async def test_a_verified_sign_up_has_a_person_an_account_a_credit_and_a_session(
    people: People, region: TestRegion
) -> None:
    person = await people.new_person("Ada.One@Example.com", name="Ada One")

    profile = (await people.call("GetProfile", person.token)).profile
    assert (profile.email, profile.name, profile.locale) == ("ada.one@example.com", "Ada One", "en")
    assert profile.has_password
    assert not profile.totp_enabled
    assert await balance(region, person.account) == WELCOME
    assert await people.letters("ada.one@example.com") == ["auth.verify_email", "credits.welcome"]
    assert person.token.startswith("ses_us_")
    assert await region.audit() == []


async def test_of_a_hundred_uses_of_one_token_one_wins(people: People, region: TestRegion) -> None:
    token = await people.sign_up("race@example.com")

    answers = await asyncio.gather(
        *(people.call("VerifyEmail", token=token, password=PASSWORD) for _ in range(100)),
        return_exceptions=True,
    )

    assert sum(not isinstance(one, BaseException) for one in answers) == 1
    refusals = [error_of(one) for one in answers if isinstance(one, grpc.aio.AioRpcError)]
    assert {refusal.spec.name for refusal in refusals} == {"INVALID_INPUT"}
    assert await count(region, "select count(*) from accounts.person") == await count(
        region, "select count(*) from accounts.account where personal and primary_owner is not null"
    )


async def test_of_fifty_sign_ups_of_one_email_one_becomes_a_person_with_one_credit(
    people: People, region: TestRegion
) -> None:
    for _ in range(5):
        await people.call("SignUp", email="many@example.com", password=PASSWORD, name="Many")
    tokens = [one.values["token"] for one in await letters_to(region, "many@example.com")]
    assert len(tokens) == 5

    answers = await asyncio.gather(
        *(people.call("VerifyEmail", token=token, password=PASSWORD) for token in tokens * 10),
        return_exceptions=True,
    )

    won = [one for one in answers if not isinstance(one, BaseException)]
    assert len(won) == 1
    assert await balance(region, won[0].signed_in.profile.personal_account_id) == WELCOME
    hashed = region.envelope.keyed_hash("person.email", b"many@example.com")
    assert await count(region, "select count(*) from accounts.person where email_hash = $1", hashed) == 1
    assert await region.audit() == []


async def test_the_welcome_credit_is_given_once_per_email_even_after_the_person_is_gone(
    people: People, region: TestRegion
) -> None:
    first = await people.new_person("again@example.com")
    connection = await region.connect()
    try:
        async with connection.transaction():
            await connection.execute(
                "update accounts.account set primary_owner = null, deleted_at = now() where id = $1",
                first.account,
            )
            await connection.execute("delete from accounts.membership where person_id = $1", first.id)
            await connection.execute("delete from accounts.person where id = $1", first.id)
    finally:
        await connection.close()

    second = await people.new_person("again@example.com")

    assert second.id != first.id
    assert await balance(region, second.account) == 0
    assert await people.letters("again@example.com") == ["auth.verify_email"] * 2


async def test_a_token_is_over_after_a_day_and_another_letter_may_be_asked_for(
    people: People, clock: FixedClock
) -> None:
    token = await people.sign_up("late@example.com")
    clock.at += timedelta(hours=23)
    await people.call("ResendVerification", email="late@example.com")
    second = (await people.letter("late@example.com", "auth.verify_email")).values["token"]
    clock.at += timedelta(hours=2)

    refused = await people.refused("VerifyEmail", token=token, password=PASSWORD)
    done = await people.call("VerifyEmail", token=second, password=PASSWORD)

    assert (refused.spec.name, refused.details["field"]) == ("INVALID_INPUT", "token")
    assert done.signed_in.profile.email == "late@example.com"


async def test_somebody_who_has_an_account_is_told_by_letter_only(people: People) -> None:
    person = await people.new_person()

    known = await people.call("SignUp", email=person.email, password=PASSWORD, name="Somebody")
    new = await people.call("SignUp", email="nobody@example.com", password=PASSWORD, name="Somebody")

    assert known.SerializeToString() == new.SerializeToString() == b""
    assert (await people.letters(person.email))[-1] == "auth.already_registered"


async def test_an_email_gets_at_most_five_letters_an_hour_and_the_answer_stays_the_same(
    people: People,
) -> None:
    for _ in range(8):
        await people.call("SignUp", email="flood@example.com", password=PASSWORD, name="Flood")

    assert len(await people.letters("flood@example.com")) == 5


async def test_a_network_that_asks_too_often_waits(people: People) -> None:
    refusals: list[BabySeaError] = []
    for number in range(62):
        try:
            await people.call("RequestPasswordReset", email=f"n{number}@example.com", address="203.0.113.9")
        except grpc.aio.AioRpcError as failed:
            refusals.append(error_of(failed))

    assert [one.spec.bse_code for one in refusals] == ["BSE1006"] * 2
    assert 0 < int(refusals[0].details["retry_after_seconds"]) <= 3600


async def test_passwords_that_anybody_would_try_are_refused(people: People) -> None:
    for password in ("password123456", "aaaaaaaaaaaa", "1234567890", "short", "me@example.com"):
        refused = await people.refused("SignUp", email="me@example.com", password=password, name="Me")
        assert (refused.spec.name, refused.details["field"]) == ("INVALID_INPUT", "password"), password


async def count(region: TestRegion, query: str, *values: object) -> int:
    connection = await region.connect()
    try:
        found: int = await connection.fetchval(query, *values)
    finally:
        await connection.close()
    return found


async def test_another_letter_to_somebody_who_has_an_account_has_no_token(people: People) -> None:
    person = await people.new_person()
    await people.call("SignUp", email=person.email, password=PASSWORD, name="Somebody")

    await people.call("ResendVerification", email=person.email)
    await people.call("ResendVerification", email="never.asked@example.com")

    assert (await people.letters(person.email))[-2:] == ["auth.already_registered"] * 2
    assert await people.letters("never.asked@example.com") == []
