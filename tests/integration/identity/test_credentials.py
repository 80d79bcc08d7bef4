"""Changing what proves a person: passwords, e-mails, and what they show of themselves."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from kit.clock import FixedClock
from tests.integration.identity.people import PASSWORD, People
from tests.support.letters import reset_token, resets
from tests.support.region import TestRegion

NEW = "quite another sentence"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100


async def test_a_changed_password_ends_other_sessions_and_gives_the_own_one_another_token(
    people: People,
) -> None:
    person = await people.new_person()
    other = await people.sign_in(person)

    done = await people.call("ChangePassword", person.token, current_password=PASSWORD, new_password=NEW)

    assert [await people.works(one) for one in (done.session_token, person.token, other.session_token)] == [
        True,
        False,
        False,
    ]
    assert "auth.password_changed" in await people.letters(person.email)
    assert (await people.refused("SignIn", email=person.email, password=PASSWORD)).spec.bse_code == "BSE1002"
    person.password = NEW
    assert (await people.sign_in(person)).session_token


async def test_a_wrong_present_password_changes_nothing_and_is_counted(people: People) -> None:
    person = await people.new_person()

    answers = [
        await people.refused("ChangePassword", person.token, current_password="wrong", new_password=NEW)
        for _ in range(6)
    ]

    assert [one.spec.bse_code for one in answers] == ["BSE2001"] * 5 + ["BSE1006"]
    assert await people.works(person.token)


async def test_a_reset_is_queued_alike_for_any_email(people: People, region: TestRegion) -> None:
    person = await people.new_person()

    known = await people.call("RequestPasswordReset", email=person.email)
    unknown = await people.call("RequestPasswordReset", email="nobody@example.com")

    assert known.SerializeToString() == unknown.SerializeToString() == b""
    assert await resets(region, person.email) == await resets(region, "nobody@example.com") == 1


async def test_of_many_uses_of_a_reset_one_wins_and_every_session_ends(
    people: People, region: TestRegion, clock: FixedClock
) -> None:
    person = await people.new_person()
    token = await reset_token(region, clock, person.id)

    answers = await asyncio.gather(
        *(people.call("ResetPassword", token=token, password=NEW) for _ in range(20)),
        return_exceptions=True,
    )

    assert sum(not isinstance(one, BaseException) for one in answers) == 1
    assert not await people.works(person.token)
    person.password = NEW
    assert (await people.sign_in(person)).session_token


async def test_a_reset_is_over_after_half_an_hour_and_with_the_next_password(
    people: People, region: TestRegion, clock: FixedClock
) -> None:
    person = await people.new_person()
    first, second = [await reset_token(region, clock, person.id) for _ in range(2)]
    await people.call("ResetPassword", token=first, password=NEW)
    third = await reset_token(region, clock, person.id)
    clock.at += timedelta(minutes=31)

    for token in (first, second, third):
        refused = await people.refused("ResetPassword", token=token, password=NEW)
        assert refused.details == {"field": "token"}


async def test_somebody_who_guesses_passwords_locks_nobody_out_of_a_reset(
    people: People, region: TestRegion, clock: FixedClock
) -> None:
    person = await people.new_person()
    for _ in range(6):
        await people.refused("SignIn", email=person.email, password="wrong")

    await people.call("RequestPasswordReset", email=person.email)
    await people.call("ResetPassword", token=await reset_token(region, clock, person.id), password=NEW)

    person.password = NEW
    assert (await people.sign_in(person)).session_token


async def test_an_email_is_changed_by_the_letter_to_the_new_one_and_told_to_the_old_one(
    people: People,
) -> None:
    person = await people.new_person("before@example.com")
    other = await people.sign_in(person)
    await people.call("RequestEmailChange", person.token, email="After@example.com", password=PASSWORD)
    token = (await people.letter("after@example.com", "auth.email_change_confirm")).values["token"]

    done = await people.call("ConfirmEmailChange", person.token, token=token)

    profile = (await people.call("GetProfile", done.session_token)).profile
    assert profile.email == "after@example.com"
    assert not await people.works(other.session_token)
    assert (await people.letters("before@example.com"))[-1] == "auth.email_changed"
    assert (await people.refused("SignIn", email="before@example.com", password=PASSWORD)).spec.bse_code == (
        "BSE1002"
    )
    person.email = "after@example.com"
    assert (await people.sign_in(person)).session_token


async def test_an_email_that_somebody_has_gets_another_letter_and_the_same_answer(people: People) -> None:
    person, other = await people.new_person(), await people.new_person()

    known = await people.call("RequestEmailChange", person.token, email=other.email, password=PASSWORD)

    assert known.SerializeToString() == b""
    assert (await people.letters(other.email))[-1] == "auth.already_registered"


async def test_of_two_people_who_change_to_one_email_one_gets_it(people: People) -> None:
    both = [await people.new_person() for _ in range(2)]
    tokens = []
    for person in both:
        await people.call("RequestEmailChange", person.token, email="wanted@example.com", password=PASSWORD)
        tokens.append(
            (await people.letter("wanted@example.com", "auth.email_change_confirm")).values["token"]
        )

    stolen = await people.refused("ConfirmEmailChange", both[0].token, token=tokens[1])
    await people.call("ConfirmEmailChange", both[0].token, token=tokens[0])
    late = await people.refused("ConfirmEmailChange", both[1].token, token=tokens[1])

    assert stolen.details == {"field": "token"}
    assert late.spec.name == "CONFLICT"
    assert await people.works(both[1].token)


async def test_name_language_and_picture_are_changed_and_a_picture_is_removed(people: People) -> None:
    person = await people.new_person()

    await people.call("UpdateProfile", person.token, name="Ada Other", locale="de-AT", avatar=PNG)
    shown = (await people.call("GetProfile", person.token, with_avatar=True)).profile
    await people.call("UpdateProfile", person.token, avatar=b"")
    bare = (await people.call("GetProfile", person.token, with_avatar=True)).profile

    assert (shown.name, shown.locale, shown.avatar, shown.avatar_type) == (
        "Ada Other",
        "de-AT",
        PNG,
        "image/png",
    )
    assert (bare.name, bare.has_avatar, bare.avatar) == ("Ada Other", False, b"")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("avatar", b"GIF89a" + b"\0" * 20),
        ("avatar", PNG + b"\0" * 262_144),
        ("name", "x"),
        ("name", "a\x00b"),
        ("locale", "not a language"),
    ],
)
async def test_what_does_not_fit_a_profile_is_refused_by_name(
    people: People, field: str, value: object
) -> None:
    person = await people.new_person()

    refused = await people.refused("UpdateProfile", person.token, **{field: value})

    assert (refused.spec.name, refused.details["field"]) == ("INVALID_INPUT", field)
