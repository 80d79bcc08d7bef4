"""The second factor: codes of an authenticator and recovery codes, each of them once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc

from kit.clock import FixedClock
from kit.rpc import error_of
from tests.integration.identity.people import People, Person


async def enrolled(people: People, clock: FixedClock) -> Person:
    person = await people.with_totp(await people.new_person())
    clock.at += timedelta(seconds=60)
    return person


async def test_turning_it_on_ends_other_sessions_and_gives_the_own_one_another_token(people: People) -> None:
    person = await people.new_person()
    first, other = person.token, await people.sign_in(person)

    await people.with_totp(person)

    assert person.token != first
    assert len(person.codes) == 10
    assert [await people.works(one) for one in (person.token, first, other.session_token)] == [
        True,
        False,
        False,
    ]
    assert "auth.mfa_enabled" in await people.letters(person.email)
    profile = (await people.call("GetProfile", person.token)).profile
    assert profile.totp_enabled
    assert profile.recovery_codes_left == 10


async def test_a_sign_in_asks_for_a_code_after_the_right_password_only(
    people: People, clock: FixedClock
) -> None:
    person = await enrolled(people, clock)

    asked = await people.call("SignIn", email=person.email, password=person.password)
    wrong = await people.refused("SignIn", email=person.email, password="wrong", totp_code="000000")
    done = await people.call(
        "ConfirmSignIn", second_factor_token=asked.second_factor_token, totp_code=person.code(clock)
    )

    assert asked.second_factor_token
    assert not asked.HasField("signed_in")
    assert "second_factor" not in wrong.details
    assert await people.works(done.signed_in.session_token)
    clock.at += timedelta(seconds=60)
    again = await people.refused(
        "ConfirmSignIn", second_factor_token=asked.second_factor_token, totp_code=person.code(clock)
    )
    assert again.spec.bse_code == "BSE1002"


async def test_of_many_uses_of_one_code_one_wins(people: People, clock: FixedClock) -> None:
    person = await enrolled(people, clock)
    code = person.code(clock)

    answers = await asyncio.gather(
        *(
            people.call("SignIn", email=person.email, password=person.password, totp_code=code)
            for _ in range(4)
        ),
        return_exceptions=True,
    )

    assert sum(not isinstance(one, BaseException) for one in answers) == 1
    refused = await people.refused("SignIn", email=person.email, password=person.password, totp_code=code)
    assert refused.details == {"second_factor": "wrong"}


async def test_a_code_of_the_step_before_is_taken_unless_a_later_one_was_used(
    people: People, clock: FixedClock
) -> None:
    person = await enrolled(people, clock)
    older = person.code(clock)
    clock.at += timedelta(seconds=30)

    await people.sign_in(person, totp_code=person.code(clock))
    refused = await people.refused("SignIn", email=person.email, password=person.password, totp_code=older)

    assert refused.spec.bse_code == "BSE1002"
    clock.at += timedelta(seconds=60)
    late = person.code(clock)
    clock.at += timedelta(seconds=30)
    assert (await people.sign_in(person, totp_code=late)).session_token


async def test_of_many_uses_of_one_recovery_code_one_wins_and_is_told(
    people: People, clock: FixedClock
) -> None:
    person = await enrolled(people, clock)

    answers = await asyncio.gather(
        *(
            people.call(
                "SignIn",
                email=person.email,
                password=person.password,
                recovery_code=person.codes[0].upper(),
            )
            for _ in range(4)
        ),
        return_exceptions=True,
    )

    won = [one for one in answers if not isinstance(one, BaseException)]
    assert len(won) == 1
    assert won[0].signed_in.profile.recovery_codes_left == 9
    assert (await people.letter(person.email, "auth.recovery_code_used")).values == {"left": "9"}
    assert (await people.letters(person.email)).count("auth.recovery_code_used") == 1


async def test_codes_are_guessed_five_times_and_then_only_after_a_wait(
    people: People, clock: FixedClock
) -> None:
    person = await enrolled(people, clock)
    asked = await people.call("SignIn", email=person.email, password=person.password)

    answers = await asyncio.gather(
        *(
            people.call("ConfirmSignIn", second_factor_token=asked.second_factor_token, totp_code="123456")
            for _ in range(20)
        ),
        return_exceptions=True,
    )

    codes = [error_of(one).spec.bse_code for one in answers if isinstance(one, grpc.aio.AioRpcError)]
    assert (codes.count("BSE1002"), codes.count("BSE1006")) == (5, 15)


async def test_turning_it_off_needs_a_code_and_new_recovery_codes_end_the_old_ones(
    people: People, clock: FixedClock
) -> None:
    person = await enrolled(people, clock)
    made = await people.call("RegenerateRecoveryCodes", person.token, totp_code=person.code(clock))

    old = await people.refused("DisableTotp", person.token, recovery_code=person.codes[0])
    done = await people.call("DisableTotp", person.token, recovery_code=made.recovery_codes[0])

    assert old.details == {"second_factor": "wrong"}
    assert not await people.works(person.token)
    assert not (await people.call("GetProfile", done.session_token)).profile.totp_enabled
    assert "auth.mfa_disabled" in await people.letters(person.email)
    assert (await people.sign_in(person)).session_token


async def test_a_change_of_the_password_ends_a_sign_in_that_waits_for_its_code(
    people: People, clock: FixedClock
) -> None:
    person = await enrolled(people, clock)
    asked = await people.call("SignIn", email=person.email, password=person.password)
    await people.call(
        "ChangePassword",
        person.token,
        current_password=person.password,
        new_password="another long sentence",
    )

    refused = await people.refused(
        "ConfirmSignIn", second_factor_token=asked.second_factor_token, totp_code=person.code(clock)
    )

    assert refused.spec.bse_code == "BSE1002"
