"""Waste: what attempts cost that no customer pays for, booked with the attempt and away from every customer's chain."""

from __future__ import annotations

from uuid import UUID, uuid4

import asyncpg
import pytest

from server.ledger import upkeep_store
from tests.integration.admission.calling import End, admitted, begin, connected, record, settle
from tests.integration.ledger.verbs import money
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

WASTE, PAYABLE = UUID(int=7), UUID(int=8)


async def booked(connection: asyncpg.Connection, attempt: UUID) -> list[tuple[object, ...]]:
    """The house's rows of an attempt."""
    return [
        tuple(row)
        for row in await connection.fetch(
            "select debit_id, credit_id, amount, cost_known, outcome from ledger.house_entry where id = $1",
            attempt,
        )
    ]


@pytest.mark.parametrize(
    ("state", "cost", "row"),
    [
        ("discarded", 3_000, (WASTE, PAYABLE, 3_000, True, "discarded")),
        ("discarded", None, (WASTE, PAYABLE, 0, False, "discarded")),
        ("failed", 70, (WASTE, PAYABLE, 70, True, "failed")),
        ("canceled", 9, (WASTE, PAYABLE, 9, True, "canceled")),
        ("failed", None, None),
        ("canceled", 0, None),
    ],
)
async def test_an_attempt_that_nobody_pays_for_is_booked_to_waste_once(
    region: TestRegion,
    superuser: asyncpg.Connection,
    state: str,
    cost: int | None,
    row: tuple[object, ...] | None,
) -> None:
    async with connected(region, "babysea_admitter", 1) as (admitter,):
        account, (id_,) = await admitted(region, admitter)
    before = await money(region, account)
    rows = await superuser.fetchval("select count(*) from ledger.transfer where account_id = $1", account)
    async with connected(region, "babysea_worker", 1) as (worker,):
        attempt = uuid4()
        assert await begin(worker, id_, 0, attempt) == "begun"
        assert await record(worker, id_, 0, attempt, "accepted", job_id=str(attempt)) == "recorded"
        assert await booked(superuser, attempt) == []
        for _ in range(2):
            assert await record(worker, id_, 0, attempt, state, cost=cost) == "recorded"
    assert await booked(superuser, attempt) == ([] if row is None else [row])
    # The customer's money and chain know nothing of it.
    assert await money(region, account) == before
    after = await superuser.fetchval("select count(*) from ledger.transfer where account_id = $1", account)
    assert after == rows
    await assert_money_is_clean(region)


async def test_the_booking_and_the_attempts_end_are_one_transaction(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    async with connected(region, "babysea_admitter", 1) as (admitter,):
        _, (id_,) = await admitted(region, admitter)
    async with connected(region, "babysea_worker", 1) as (worker,):
        attempt = uuid4()
        assert await begin(worker, id_, 0, attempt) == "begun"
        transaction = worker.transaction()
        await transaction.start()
        assert await record(worker, id_, 0, attempt, "discarded", cost=5) == "recorded"
        await transaction.rollback()
        assert await booked(superuser, attempt) == []
        state = "select state from generation.attempt where id = $1"
        assert await superuser.fetchval(state, attempt) == "submitting"
        assert await record(worker, id_, 0, attempt, "discarded", cost=5) == "recorded"
        assert len(await booked(superuser, attempt)) == 1


async def test_an_attempt_that_a_customer_pays_for_is_no_waste(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    async with connected(region, "babysea_admitter", 1) as (admitter,):
        _, (id_,) = await admitted(region, admitter)
        async with connected(region, "babysea_worker", 1) as (worker,):
            assert await begin(worker, id_, 0, id_) == "begun"
        assert await settle(admitter, End(id_, capture=5, cost=4)) == ["settled"]
    assert await booked(superuser, id_) == []


async def test_the_totals_sum_both_sides_and_count_the_unknown(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    before = {row.name: row for row in await upkeep_store.house_totals(region.databases.worker)}
    async with connected(region, "babysea_admitter", 1) as (admitter,):
        _, ids = await admitted(region, admitter, 3)
    async with connected(region, "babysea_worker", 1) as (worker,):
        for id_, cost in zip(ids, (100, 23, None), strict=True):
            assert await begin(worker, id_, 0, id_) == "begun"
            assert await record(worker, id_, 0, id_, "discarded", cost=cost) == "recorded"
    after = {row.name: row for row in await upkeep_store.house_totals(region.databases.worker)}
    assert set(after) == {"waste", "payable", "receivable"}
    assert after["waste"].debited - before["waste"].debited == 123
    assert after["payable"].credited - before["payable"].credited == 123
    assert after["waste"].entries - before["waste"].entries == 3
    assert after["waste"].unknown_costs - before["waste"].unknown_costs == 1
    assert after["receivable"].entries == 0


async def test_the_houses_book_is_append_only_even_for_a_superuser(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    async with connected(region, "babysea_admitter", 1) as (admitter,):
        _, (id_,) = await admitted(region, admitter)
    async with connected(region, "babysea_worker", 1) as (worker,):
        assert await begin(worker, id_, 0, id_) == "begun"
        assert await record(worker, id_, 0, id_, "discarded") == "recorded"
    for statement in (
        "update ledger.house_entry set amount = 5, cost_known = true",
        "delete from ledger.house_entry",
        "truncate ledger.house_entry",
    ):
        with pytest.raises(asyncpg.RaiseError, match=r"ledger\.house_entry is append-only"):
            await superuser.execute(statement)
