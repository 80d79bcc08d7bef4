"""The verbs against each other, on real connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID, uuid4

import asyncpg

from tests.integration.ledger.verbs import capture, grant, money, release, reserve
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


async def test_a_hundred_reserves_on_money_for_ten_hold_exactly_ten(region: TestRegion) -> None:
    account = await region.new_account(credit=10)
    words = await asyncio.gather(*(reserve(region, account, uuid4(), 1) for _ in range(100)))
    assert Counter(words) == {"held": 10, "insufficient": 90}
    assert await money(region, account) == (10, 10, 0)
    await assert_money_is_clean(region)


async def test_a_hundred_retries_of_one_hold_make_one_hold(region: TestRegion) -> None:
    account, hold = await region.new_account(credit=1), uuid4()
    words = await asyncio.gather(*(reserve(region, account, hold, 1) for _ in range(100)))
    assert Counter(words) == {"held": 1, "already_held": 99}
    await assert_money_is_clean(region)


async def test_a_hundred_retries_of_one_hold_over_two_connections_make_one_hold(region: TestRegion) -> None:
    account, hold = await region.new_account(credit=1), uuid4()
    query = "select ledger.reserve($1, $2, 1, clock_timestamp() + interval '1 hour', 'f')"
    connections = [await region.connect("babysea_worker") for _ in range(2)]

    async def retry(connection: asyncpg.Connection) -> list[str]:
        return [await connection.fetchval(query, account, hold) for _ in range(50)]

    try:
        words = [word for each in await asyncio.gather(*map(retry, connections)) for word in each]
    finally:
        for connection in connections:
            await connection.close()
    assert Counter(words) == {"held": 1, "already_held": 99}
    assert await money(region, account) == (1, 1, 0)
    await assert_money_is_clean(region)


async def test_a_retry_that_waits_for_the_first_call_hears_that_it_is_held_and_not_that_money_is_missing(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    account, hold = await region.new_account(credit=1), uuid4()
    query = "select ledger.reserve($1, $2, 1, clock_timestamp() + interval '1 hour', 'f')"
    first, second = [await region.connect("babysea_worker") for _ in range(2)]
    try:
        transaction = first.transaction()
        await transaction.start()
        assert await first.fetchval(query, account, hold) == "held"
        retry = asyncio.create_task(second.fetchval(query, account, hold))
        waits = "select count(*) from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database()"
        async with asyncio.timeout(10):
            while not await superuser.fetchval(waits):
                await asyncio.sleep(0.01)
        await transaction.commit()
        assert await retry == "already_held"
    finally:
        await first.close()
        await second.close()
    await assert_money_is_clean(region)


async def test_two_accounts_that_reserve_one_id_at_once_hold_it_once(region: TestRegion) -> None:
    accounts = [await region.new_account(credit=1_000) for _ in range(4)]
    for _ in range(25):
        hold = uuid4()
        words = await asyncio.gather(*(reserve(region, account, hold, 1) for account in accounts))
        assert sorted(words) == ["conflict"] * 3 + ["held"]
    await assert_money_is_clean(region)


async def test_capture_and_release_of_one_hold_have_one_winner_in_two_hundred_rounds(
    region: TestRegion,
) -> None:
    account = await region.new_account(credit=1_000)
    taken = 0
    for round_ in range(200):
        hold = uuid4()
        assert await reserve(region, account, hold, 2) == "held"
        calls = [capture(region, hold, 2), release(region, hold)]
        words = set(await asyncio.gather(*(calls if round_ % 2 else calls[::-1])))
        assert words in ({"captured", "already_captured"}, {"released", "already_released"})
        taken += 2 * ("captured" in words)
    assert await money(region, account) == (1_000 - taken, 0, 1_000 - taken)
    await assert_money_is_clean(region)


async def test_fifty_grants_with_one_key_grant_once(region: TestRegion) -> None:
    account = await region.new_account()
    words = await asyncio.gather(*(grant(region, account, 5, "gift") for _ in range(50)))
    assert Counter(words) == {"granted": 1, "already_granted": 49}
    assert await grant(region, account, 6, "gift") == "conflict"
    assert await money(region, account) == (5, 0, 5)
    await assert_money_is_clean(region)


async def test_settlements_of_many_accounts_in_any_order_never_deadlock(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    before = await superuser.fetchval(DEADLOCKS)
    accounts = [await region.new_account(credit=10**6) for _ in range(6)]

    async def round_trip(number: int) -> None:
        connection = await region.connect("babysea_worker")
        try:
            for _ in range(15):
                holds = [uuid4() for _ in accounts]
                for account, hold in zip(accounts, holds, strict=True):
                    assert await reserve(region, account, hold, 5) == "held"
                order = holds if number % 2 else holds[::-1]
                await _settle(connection, order, [number % 3 for _ in order])
        finally:
            await connection.close()

    await asyncio.gather(*(round_trip(n) for n in range(6)))
    assert await superuser.fetchval(DEADLOCKS) == before
    assert [(await money(region, account))[1] for account in accounts] == [0] * 6
    await assert_money_is_clean(region)


async def test_the_same_holds_settled_by_many_at_once_are_settled_once(region: TestRegion) -> None:
    account, other = await region.new_account(credit=10**6), await region.new_account(credit=10**6)
    connections = [await region.connect("babysea_worker") for _ in range(6)]
    try:
        for _ in range(10):
            holds = [uuid4() for _ in range(20)]
            for n, hold in enumerate(holds):
                assert await reserve(region, other if n % 2 else account, hold, 5) == "held"
            answers = await asyncio.gather(
                *(
                    _settle(connection, holds if n % 2 else holds[::-1], [n % 3] * 20)
                    for n, connection in enumerate(connections)
                )
            )
            moved = Counter(word for words in answers for word in words if not word.startswith("already_"))
            assert sum(moved.values()) == 20, moved
    finally:
        for connection in connections:
            await connection.close()
    await assert_money_is_clean(region)


async def _settle(connection: asyncpg.Connection, holds: list[UUID], amounts: list[int]) -> list[str]:
    rows = await connection.fetch(
        "select word from ledger.settle_many($1::uuid[], $2::bigint[])", holds, amounts
    )
    return [row["word"] for row in rows]
