"""Signing in: sessions, waits after wrong passwords, and what a stranger cannot find out."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc

from babysea.accounts.v1 import identity_service_pb2 as pb
from babysea.options.v1 import options_pb2
from kit.clock import FixedClock
from kit.rpc import error_of
from kit.settings import Settings
from server.runtime.lifecycle import serve
from tests.integration.identity.people import People
from tests.support.region import TestRegion


async def test_a_right_password_begins_a_session_that_is_listed(people: People) -> None:
    person = await people.new_person()

    second = await people.sign_in(person, agent="tablet")

    sessions = (await people.call("ListSessions", second.session_token)).sessions
    assert [one.user_agent for one in sessions] == ["tablet", "browser"]
    assert [one.current for one in sessions] == [True, False]
    assert second.profile.email == person.email


async def test_a_sign_in_from_an_unknown_device_is_told_once(people: People) -> None:
    person = await people.new_person()

    for _ in range(2):
        await people.sign_in(person, address="192.0.2.7", agent="laptop")

    told = [one for one in await people.letters(person.email) if one == "auth.new_sign_in"]
    assert told == ["auth.new_sign_in"]
    assert (await people.letter(person.email, "auth.new_sign_in")).values == {"device": "laptop"}


async def test_a_wrong_password_and_an_unknown_email_get_the_same_answer(people: People) -> None:
    person = await people.new_person()

    wrong = await people.refused("SignIn", email=person.email, password="not my password")
    unknown = await people.refused("SignIn", email="who@example.com", password="not my password")

    assert (wrong.spec.bse_code, wrong.message, wrong.details) == (
        unknown.spec.bse_code,
        unknown.message,
        unknown.details,
    )
    assert wrong.spec.bse_code == "BSE1002"


async def test_after_five_wrong_passwords_the_right_one_waits_too_whether_or_not_the_email_is_known(
    people: People, clock: FixedClock
) -> None:
    person = await people.new_person()
    waits = []
    for email in (person.email, "unknown.waits@example.com"):
        for _ in range(5):
            refused = await people.refused("SignIn", email=email, password="wrong")
            assert refused.spec.bse_code == "BSE1002"
        refused = await people.refused("SignIn", email=email, password=person.password)
        waits.append((refused.spec.bse_code, refused.message, refused.details))

    assert waits[0] == waits[1]
    assert waits[0][2]["retry_after_seconds"] == "15"
    assert await people.works(person.token)
    clock.at += timedelta(seconds=16)
    assert (await people.sign_in(person)).session_token


async def test_the_wait_doubles_up_to_a_quarter_of_an_hour(people: People, clock: FixedClock) -> None:
    waits = []
    for _ in range(5):
        await people.refused("SignIn", email="slow@example.com", password="wrong")
    for _ in range(8):
        refused = await people.refused("SignIn", email="slow@example.com", password="wrong")
        waits.append(int(refused.details["retry_after_seconds"]))
        clock.at += timedelta(seconds=waits[-1] + 1)
        await people.refused("SignIn", email="slow@example.com", password="wrong")

    assert waits == [15, 30, 60, 120, 240, 480, 900, 900]


async def test_a_hundred_guesses_at_once_over_two_servers_are_no_more_than_five(
    people: People, region: TestRegion, clock: FixedClock, settings: Settings
) -> None:
    person = await people.new_person()
    async with (
        serve(settings, clock=clock) as server,
        People.open(server.address, region, clock, settings) as others,
    ):
        others.made = 5000
        answers = await asyncio.gather(
            *(
                one.call("SignIn", email=person.email, password="wrong")
                for _ in range(50)
                for one in (people, others)
            ),
            return_exceptions=True,
        )

    codes = [error_of(one).spec.bse_code for one in answers if isinstance(one, grpc.aio.AioRpcError)]
    assert len(codes) == 100
    assert codes.count("BSE1002") == 5
    assert codes.count("BSE1006") == 95


async def test_a_session_that_was_ended_is_refused_at_once_by_another_server(
    people: People, region: TestRegion, clock: FixedClock, settings: Settings
) -> None:
    person = await people.new_person()
    second = await people.sign_in(person)
    async with (
        serve(settings, clock=clock) as server,
        People.open(server.address, region, clock, settings) as others,
    ):
        assert await others.works(second.session_token)
        await people.call("RevokeSession", person.token, session_id=second.session.session_id)
        assert not await others.works(second.session_token)
        # Ending it again changes nothing; another person's session is as absent as one that never was.
        await people.call("RevokeSession", person.token, session_id=second.session.session_id)
        stranger = await others.new_person()
        refused = await others.refused("RevokeSession", stranger.token, session_id=second.session.session_id)
    assert refused.spec.name == "NOT_FOUND"


async def test_every_other_session_can_be_ended_at_once(people: People) -> None:
    person = await people.new_person()
    others = [await people.sign_in(person) for _ in range(3)]

    answer = await people.call("RevokeOtherSessions", person.token)

    assert answer.ended == 3
    assert [await people.works(one.session_token) for one in others] == [False] * 3
    assert await people.works(person.token)
    await people.call("SignOut", person.token)
    assert not await people.works(person.token)


async def test_a_session_ends_two_weeks_after_its_last_use(people: People, clock: FixedClock) -> None:
    person = await people.new_person()

    clock.at += timedelta(days=13, hours=23)
    assert await people.works(person.token)
    clock.at += timedelta(days=15)
    assert not await people.works(person.token)


async def test_no_use_lets_a_session_live_longer_than_ninety_days(people: People, region: TestRegion) -> None:
    person = await people.new_person()
    connection = await region.connect()
    try:
        await connection.execute(
            "update accounts.session set created_at = now() - interval '89 days',"
            " last_seen_at = now() - interval '2 minutes' where person_id = $1",
            person.id,
        )
        assert await people.works(person.token)
        left = await connection.fetchval(
            "select expires_at - now() from accounts.session where person_id = $1", person.id
        )
    finally:
        await connection.close()
    assert timedelta(hours=23) < left <= timedelta(days=1)


async def test_every_method_about_the_own_person_refuses_a_caller_without_a_session(people: People) -> None:
    own = [
        method.name
        for method in pb.DESCRIPTOR.services_by_name["IdentityService"].methods
        if options_pb2.USER in method.GetOptions().Extensions[options_pb2.access].audience
    ]
    assert len(own) == 17
    for method in own:
        call = getattr(people.stub, method)(getattr(pb, f"{method}Request")())
        refused = await asyncio.gather(call, return_exceptions=True)
        assert isinstance(refused[0], grpc.aio.AioRpcError)
        assert error_of(refused[0]).spec.bse_code == "BSE1001", method
