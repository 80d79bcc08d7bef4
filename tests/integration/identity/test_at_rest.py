"""What lies in the database of people, and what does not stay there."""

from __future__ import annotations

from datetime import timedelta

from kit.clock import FixedClock
from server.accounts.identity.parts import DayKeys
from server.runtime.encryption import DataKeyGoneError
from server.runtime.upkeep import Upkeep
from tests.integration.identity.people import PASSWORD, People
from tests.integration.isolation.needles import spellings
from tests.support.region import TestRegion


async def everything(region: TestRegion) -> bytes:
    """Every row of every table, as the database prints it, bytes as bytes."""
    connection = await region.connect()
    found = []
    try:
        tables = await connection.fetch(
            "select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"
        )
        for table in tables:
            for row in await connection.fetch(f"select * from {table['name']}"):
                found += [
                    value if isinstance(value, bytes) else str(value).encode() for value in row.values()
                ]
    finally:
        await connection.close()
    return b"\n".join(found)


async def test_nothing_of_a_person_can_be_read_in_the_database(people: People, region: TestRegion) -> None:
    person = await people.new_person("quixotic.zebra@example.com", name="Quixotica Zebrawood")
    person = await people.with_totp(person)
    await people.call("SignUp", email="waiting.yak@example.com", password=PASSWORD, name="Yakov Waiting")
    await people.call("RequestEmailChange", person.token, email="later.lynx@example.com", password=PASSWORD)
    await people.call("UpdateProfile", person.token, avatar=b"\x89PNG\r\n\x1a\n" + b"picturesque" * 9)

    kept = await everything(region)

    words = [
        *("quixotic.zebra", "Quixotica", "Zebrawood", "waiting.yak", "Yakov", "later.lynx", "picturesque"),
        *(PASSWORD, person.secret, person.token, person.codes[0], "198.18.0."),
    ]
    assert region.envelope.keyed_hash("person.email", person.email.encode()) in kept
    for word in words:
        hits = [how for how, spelled in spellings(word.encode()).items() if spelled in kept]
        assert hits == [], word


async def test_tokens_that_are_over_are_removed_by_upkeep(people: People, region: TestRegion) -> None:
    await people.sign_up("over@example.com")
    connection = await region.connect()
    try:
        await connection.execute("update accounts.sign_up set expires_at = now() - interval '1 second'")
        await Upkeep(region.databases.worker).once()
        assert await connection.fetchval("select count(*) from accounts.sign_up") == 0
    finally:
        await connection.close()


async def test_invitations_are_removed_by_upkeep_a_month_after_they_were_over(
    people: People, region: TestRegion
) -> None:
    host = await people.new_person()
    connection = await region.connect()
    try:
        for days in (29, 31):
            await connection.execute(
                "insert into accounts.invitation (id, account_id, email_hash, email_ct, role, token_hash, invited_by,"
                " created_at, expires_at) values (uuidv7(), $1, $2, $2, 'member', $2, $3, now(), now() - $4::interval)",
                host.account,
                str(days).encode(),
                host.id,
                timedelta(days=days),
            )
        await Upkeep(region.databases.worker).once()
        left = await connection.fetch("select token_hash from accounts.invitation")
        assert [row["token_hash"] for row in left] == [b"29"]
    finally:
        await connection.close()


async def test_the_key_of_a_day_is_destroyed_a_week_after_its_last_sign_up_is_over(
    people: People, region: TestRegion, clock: FixedClock
) -> None:
    await people.sign_up("forgotten@example.com")
    keys = DayKeys(region.envelope, clock)
    owner = await keys.today()
    sealed = await region.envelope.seal(owner, "sign_up.email", owner, b"x")

    clock.at += timedelta(days=9)
    await keys.today()

    try:
        await region.envelope.open(owner, "sign_up.email", owner, sealed)
    except DataKeyGoneError:
        return
    raise AssertionError("the key is still there")
