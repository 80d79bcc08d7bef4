"""A letter's link alone makes nobody a person: the password of the sign-up is needed, too."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc

from kit.clock import FixedClock
from kit.rpc import error_of
from tests.integration.identity.people import PASSWORD, People
from tests.support.letters import letters_to
from tests.support.region import TestRegion

STRANGERS = "the password of a stranger"
VICTIM = "victim@example.com"
NOT_CHOSEN = "The password is not the one that this sign-up chose; enter that one, or sign up again."


async def count_people(region: TestRegion) -> int:
    connection = await region.connect()
    try:
        found: int = await connection.fetchval("select count(*) from accounts.person")
    finally:
        await connection.close()
    return found


async def test_who_follows_the_link_of_a_strangers_sign_up_gets_no_account_with_the_strangers_password(
    people: People, region: TestRegion
) -> None:
    before = await count_people(region)
    planted = await people.sign_up(VICTIM, name="Eve", password=STRANGERS)
    own = await people.sign_up(VICTIM, name="Vic")

    refused = await people.refused("VerifyEmail", token=planted, password=PASSWORD)
    assert (refused.spec.bse_code, refused.message, refused.details) == ("BSE1002", NOT_CHOSEN, {})
    assert await count_people(region) == before

    done = await people.call("VerifyEmail", token=own, password=PASSWORD)
    assert (done.signed_in.profile.email, done.signed_in.profile.name) == (VICTIM, "Vic")
    # The stranger's sign-up is over with it, whatever password comes with its link.
    for password in (PASSWORD, STRANGERS):
        refused = await people.refused("VerifyEmail", token=planted, password=password)
        assert (refused.spec.name, refused.details) == ("INVALID_INPUT", {"field": "token"})
    assert (await people.refused("SignIn", email=VICTIM, password=STRANGERS)).spec.bse_code == "BSE1002"
    assert (await people.call("SignIn", email=VICTIM, password=PASSWORD)).signed_in.session_token


async def test_a_wrong_password_does_not_use_the_token_up(people: People) -> None:
    token = await people.sign_up("typo@example.com")

    for _ in range(4):
        refused = await people.refused("VerifyEmail", token=token, password=PASSWORD + "!")
        assert refused.message == NOT_CHOSEN

    done = await people.call("VerifyEmail", token=token, password=PASSWORD)
    assert done.signed_in.profile.email == "typo@example.com"


async def test_five_wrong_passwords_end_a_token_and_another_letter_goes_on(people: People) -> None:
    token = await people.sign_up("five@example.com")

    said = [(await people.refused("VerifyEmail", token=token, password="wrong")).spec.name for _ in range(5)]
    ended = await people.refused("VerifyEmail", token=token, password=PASSWORD)

    assert said == ["AUTHENTICATION_FAILED"] * 5
    assert ended.spec.name == "INVALID_INPUT"
    await people.call("ResendVerification", email="five@example.com")
    again = (await people.letter("five@example.com", "auth.verify_email")).values["token"]
    assert (await people.call("VerifyEmail", token=again, password=PASSWORD)).signed_in.session_token


async def test_fifty_guesses_at_once_are_no_more_than_five(people: People) -> None:
    token = await people.sign_up("guessed@example.com")

    answers = await asyncio.gather(
        *(people.call("VerifyEmail", token=token, password=f"guess {n}") for n in range(50)),
        return_exceptions=True,
    )

    codes = [error_of(one).spec.name for one in answers if isinstance(one, grpc.aio.AioRpcError)]
    assert (codes.count("AUTHENTICATION_FAILED"), codes.count("INVALID_INPUT")) == (5, 45)


async def test_tokens_that_are_unknown_used_too_old_or_ended_get_one_answer(
    people: People, clock: FixedClock
) -> None:
    used, ended = await people.sign_up("used@example.com"), await people.sign_up("ended@example.com")
    await people.call("VerifyEmail", token=used, password=PASSWORD)
    for _ in range(5):
        await people.refused("VerifyEmail", token=ended, password="wrong")
    old = await people.sign_up("old@example.com")
    clock.at += timedelta(hours=25)

    said = {
        (refused.spec.bse_code, refused.message, str(refused.details))
        for token in (used, ended, old, "A" * 43)
        for password in (PASSWORD, "wrong")
        for refused in [await people.refused("VerifyEmail", token=token, password=password)]
    }

    assert len(said) == 1


async def test_wrong_passwords_count_for_the_address_they_come_from(people: People) -> None:
    tokens = [await people.sign_up(f"n{number}@example.com") for number in range(8)]

    said = [
        (await people.refused("VerifyEmail", token=token, password="wrong", address="203.0.113.77")).spec.name
        for token in tokens
        for _ in range(5)
    ]

    first = said.index("AUTH_RATE_LIMITED")
    assert set(said[:first]) == {"AUTHENTICATION_FAILED"}
    assert set(said[first:]) == {"AUTH_RATE_LIMITED"}
    assert first <= 31


async def test_the_letter_asks_for_the_password_and_does_not_hold_it(
    people: People, region: TestRegion
) -> None:
    await people.sign_up("reads@example.com")

    [letter] = await letters_to(region, "reads@example.com")

    assert set(letter.values) == {"token", "hours"}
