"""The owners of an account hear of keys that are made and ended, once each, in the transaction of the fact."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from babysea.keys.v1 import key_service_pb2 as pb
from kit.clock import FixedClock
from kit.ids import uuid7
from server.keys.creation import create_key
from tests.integration.keys.live import Live, refusal
from tests.support.letters import PostedLetter, letters_to
from tests.support.people import Person, join, new_person, new_team


@pytest.fixture
async def people(live: Live) -> dict[str, Person]:
    """A team's people by role."""
    return {role: await new_person(live.region, now=None) for role in ("primary_owner", "owner", "member")}


@pytest.fixture
async def team(live: Live, people: dict[str, Person]) -> UUID:
    """A team with a name that can be read."""
    account = await new_team(live.region, people["primary_owner"].id)
    for role in ("owner", "member"):
        await join(live.region, account, people[role].id, role)
    name_ct = await live.region.envelope.seal(account, "account.name", account, b"Lighthouse")
    connection = await live.region.connect()
    try:
        await connection.execute("update accounts.account set name_ct = $2 where id = $1", account, name_ct)
    finally:
        await connection.close()
    return account


async def told(live: Live, person: Person) -> list[PostedLetter]:
    return [one for one in await letters_to(live.region, person.email) if one.template.startswith("key.")]


async def kinds(live: Live, person: Person) -> list[str]:
    return [one.template for one in await told(live, person)]


async def inbox(live: Live, account: UUID) -> set[tuple[UUID, str]]:
    connection = await live.region.connect()
    try:
        rows = await connection.fetch(
            "select person_id, kind from notifications.inbox where account_id = $1", account
        )
    finally:
        await connection.close()
    return {(row["person_id"], row["kind"]) for row in rows}


async def ask(live: Live, method: str, key: Any, **fields: Any) -> Any:
    request = getattr(pb, f"{method}Request")(account_id=key.account_id, key_id=key.key_id, **fields)
    return await getattr(live.keys, method)(request, metadata=live.operator)


async def test_every_owner_and_no_member_hears_of_a_new_key(
    live: Live, team: UUID, people: dict[str, Person]
) -> None:
    made = await live.new_key(team, name="laptop")

    for role in ("primary_owner", "owner"):
        [letter] = await told(live, people[role])
        assert letter.template == "key.created"
        assert letter.values == {
            "account": "Lighthouse",
            "key_name": "laptop",
            "key_prefix": made.key.prefix,
        }
        assert letter.event_key == f"key.created:{made.key.key_id}:{people[role].id}"
    assert await told(live, people["member"]) == []
    assert made.secret.removeprefix(made.key.prefix) not in str(await told(live, people["owner"]))
    assert await inbox(live, team) == {
        (people[role].id, "key.created") for role in ("primary_owner", "owner")
    }


async def test_a_rotation_tells_of_the_new_key(live: Live, team: UUID, people: dict[str, Person]) -> None:
    made = await live.new_key(team)

    done = await ask(live, "RotateKey", made.key)

    owner = people["owner"].id
    assert [one.event_key for one in await told(live, people["owner"])] == [
        f"key.created:{made.key.key_id}:{owner}",
        f"key.created:{done.key.key_id}:{owner}",
    ]


async def test_a_key_that_ends_is_told_of_once_however_often_it_ends(
    live: Live, team: UUID, people: dict[str, Person]
) -> None:
    revoked, deleted = await live.new_key(team), await live.new_key(team)

    await ask(live, "RevokeKey", revoked.key)
    await ask(live, "RevokeKey", revoked.key)
    await ask(live, "DeleteKey", revoked.key)
    await ask(live, "DeleteKey", deleted.key)

    letters = [one for one in await told(live, people["primary_owner"]) if one.template == "key.revoked"]
    assert [one.values["key_prefix"] for one in letters] == [revoked.key.prefix, deleted.key.prefix]


async def test_the_end_of_a_key_that_worked_no_more_is_no_news(
    live: Live, team: UUID, people: dict[str, Person], clock: FixedClock
) -> None:
    expired = [await live.new_key(team, expires_at=clock.at + timedelta(minutes=30)) for _ in range(2)]
    rotated, in_grace = await live.new_key(team), await live.new_key(team)
    await ask(live, "RotateKey", rotated.key, grace_hours=1)
    await ask(live, "RotateKey", in_grace.key, grace_hours=24)
    clock.at += timedelta(hours=2)

    await ask(live, "RevokeKey", expired[0].key)
    await ask(live, "DeleteKey", expired[1].key)
    await ask(live, "DeleteKey", rotated.key)
    assert "key.revoked" not in await kinds(live, people["owner"])
    await ask(live, "RevokeKey", in_grace.key)
    assert (await kinds(live, people["owner"])).count("key.revoked") == 1


async def test_what_was_refused_is_told_to_nobody(live: Live, team: UUID, people: dict[str, Person]) -> None:
    key = pb.DeleteKeyRequest(account_id=str(team), key_id=str(uuid7()))
    for method in ("RevokeKey", "RotateKey", "DeleteKey"):
        assert (await refusal(ask(live, method, key))).reason == "NOT_FOUND"

    assert await told(live, people["owner"]) == []


async def test_in_an_account_that_nobody_owns_keys_are_made_and_ended_in_silence(live: Live) -> None:
    account = await live.region.new_account()
    made = await live.new_key(account)
    await ask(live, "RevokeKey", made.key)

    connection = await live.region.connect()
    try:
        posted = await connection.fetchval(
            "select count(*) from notifications.letter where account_id = $1", account
        )
    finally:
        await connection.close()
    assert posted == 0


@pytest.mark.parametrize("method", ["RevokeKey", "DeleteKey"])
async def test_a_key_is_ended_also_when_no_letter_can_be_written(
    live: Live, team: UUID, people: dict[str, Person], method: str
) -> None:
    shared = live.server.shared
    # Past the server's own notices, so that it has not read the account's data key yet.
    record, secret = await create_key(
        shared.databases.app,
        shared.hasher,
        shared.clock,
        "us",
        account_id=team,
        name="leaked",
        preset="full_access",
        scopes=[],
        allowlist=[],
        expires_at=None,
    )
    await live.region.envelope.destroy_data_key(team)

    await ask(live, method, pb.DeleteKeyRequest(account_id=str(team), key_id=str(record.id)))

    assert (await refusal(live.who(secret))).reason == "AUTHENTICATION_FAILED"
    assert await inbox(live, team) == {
        (people[role].id, "key.revoked") for role in ("primary_owner", "owner")
    }
