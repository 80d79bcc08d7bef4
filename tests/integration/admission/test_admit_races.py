"""Races of admit_many on real connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.admission.calling import Ask, admit, cancel, connected, words, written
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

HELD = {"ledger.hold": 1, "ledger.transfer": 2, "generation.generation": 1, "runtime.job": 1}


async def over_connections(
    region: TestRegion, asks: list[Ask], n: int = 8
) -> list[tuple[str, UUID | None, int | None]]:
    """Sends each request in a call of its own, over a few connections at once."""
    async with connected(region, "babysea_admitter", n) as connections:
        queue = list(asks)
        answers: list[tuple[str, UUID | None, int | None]] = []

        async def work(connection: asyncpg.Connection) -> None:
            while queue:
                answers.extend(await admit(connection, queue.pop()))

        await asyncio.gather(*(work(connection) for connection in connections))
        return answers


async def test_a_hundred_requests_with_one_key_hold_once_and_name_one_generation(region: TestRegion) -> None:
    account = await region.new_account(credit=1_000_000)
    answers = await over_connections(region, [Ask(account, key=b"one") for _ in range(100)])
    assert Counter(word for word, _, _ in answers) == {"held": 1, "replayed": 99}
    assert len({generation for _, generation, _ in answers}) == 1
    counts = await written(region, account)
    assert {table: counts[table] for table in HELD} == HELD
    await assert_money_is_clean(region)


async def test_a_hundred_retries_of_one_id_hold_once(region: TestRegion) -> None:
    account = await region.new_account(credit=5)
    id_ = uuid4()
    answers = await over_connections(region, [Ask(account, id=id_) for _ in range(100)])
    assert Counter(word for word, _, _ in answers) == {"held": 1, "already_held": 99}
    assert (await written(region, account))["ledger.hold"] == 1
    await assert_money_is_clean(region)


async def test_credit_for_ten_admits_exactly_ten_of_a_hundred(region: TestRegion) -> None:
    account = await region.new_account(credit=50)
    answers = await over_connections(region, [Ask(account) for _ in range(100)])
    assert Counter(word for word, _, _ in answers) == {"held": 10, "insufficient": 90}
    assert (await written(region, account))["generation.generation"] == 10
    await assert_money_is_clean(region)


async def test_a_limit_of_seven_admits_exactly_seven_of_a_hundred(region: TestRegion) -> None:
    account = await region.new_account(credit=1_000_000, in_flight=7)
    answers = await over_connections(region, [Ask(account) for _ in range(100)])
    assert Counter(word for word, _, _ in answers) == {"held": 7, "concurrency_limit": 93}
    await assert_money_is_clean(region)


@pytest.mark.parametrize("key", [None, b"key"])
async def test_a_retry_while_the_first_is_uncommitted_waits_and_hears_of_it(
    region: TestRegion, key: bytes | None
) -> None:
    account = await region.new_account(credit=5)
    ask = Ask(account, key=key)
    async with connected(region, "babysea_admitter", 2) as (first, second):
        transaction = first.transaction()
        await transaction.start()
        assert await words(first, ask) == ["held"]
        retry = asyncio.create_task(words(second, ask))
        await _is_waiting(region, second)
        await transaction.commit()
        assert await retry == ["already_held"]
    await assert_money_is_clean(region)


async def test_a_retry_whose_first_is_rolled_back_is_admitted_itself(region: TestRegion) -> None:
    account = await region.new_account(credit=5)
    ask = Ask(account, key=b"key")
    async with connected(region, "babysea_admitter", 2) as (first, second):
        transaction = first.transaction()
        await transaction.start()
        assert await words(first, ask) == ["held"]
        retry = asyncio.create_task(words(second, ask))
        await _is_waiting(region, second)
        await transaction.rollback()
        assert await retry == ["held"]
    await assert_money_is_clean(region)


async def test_money_that_a_cancel_returns_is_spent_by_the_one_who_waited_for_it(region: TestRegion) -> None:
    account = await region.new_account(credit=9)
    async with connected(region, "babysea_admitter", 2) as (first, second):
        held = Ask(account, 5)
        assert await words(first, held) == ["held"]
        transaction = first.transaction()
        await transaction.start()
        assert await cancel(first, (account, held.id)) == [("canceled", False)]
        # 4 are free whatever happens; 5 only once the cancel has committed, which the lock makes it wait for.
        later = asyncio.create_task(words(second, Ask(account, 4), Ask(account, 5)))
        await _is_waiting(region, second)
        await transaction.commit()
        assert await later == ["held", "held"]
    await assert_money_is_clean(region)


async def test_batches_over_the_same_accounts_in_opposite_order_never_deadlock(region: TestRegion) -> None:
    accounts = [await region.new_account(credit=10**9) for _ in range(8)]
    async with connected(region, "babysea_admitter", 4) as connections:

        async def work(connection: asyncpg.Connection, order: list[UUID]) -> None:
            for _ in range(25):
                assert set(await words(connection, *(Ask(account) for account in order))) == {"held"}

        backwards = accounts[::-1]
        await asyncio.gather(*(work(c, accounts if n % 2 else backwards) for n, c in enumerate(connections)))
    await assert_money_is_clean(region)


async def _is_waiting(region: TestRegion, connection: asyncpg.Connection) -> None:
    """Returns once the connection's statement waits for a lock."""
    watcher = await region.connect()
    try:
        async with asyncio.timeout(10):
            while not await watcher.fetchval(
                "select wait_event_type = 'Lock' from pg_stat_activity where pid = $1",
                connection.get_server_pid(),
            ):
                await asyncio.sleep(0)
    finally:
        await watcher.close()
