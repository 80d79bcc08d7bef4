"""Cancels, settlements and workers against each other: one terminal state, one settlement, no deadlock."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg

from tests.integration.admission.calling import (
    Ask,
    End,
    admit,
    admitted,
    assert_events_are_whole,
    begin,
    begin_all,
    cancel,
    connected,
    fact,
    settle,
    state,
    words,
)
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion


async def test_two_hundred_cancels_raced_against_settlements_end_each_generation_once(
    region: TestRegion, worker: asyncpg.Connection
) -> None:
    async with connected(region, "babysea_admitter", 2) as (one, two):
        account, ids = await admitted(region, one, 200)
        await begin_all(worker, *ids)
        captured = 0
        for round_, id_ in enumerate(ids):
            amount = 5 if round_ % 3 else 2
            if round_ % 2:
                canceling = asyncio.create_task(cancel(one, (account, id_)))
                settling = asyncio.create_task(settle(two, End(id_, amount)))
            else:
                settling = asyncio.create_task(settle(two, End(id_, amount)))
                canceling = asyncio.create_task(cancel(one, (account, id_)))
            ((canceled, _),), (settled,) = await canceling, await settling
            assert (canceled, settled) in {
                ("canceled", "already_canceled"),
                ("already_succeeded", "settled"),
            }
            final = await state(region, id_)
            assert final == ("succeeded" if settled == "settled" else "canceled")
            captured += amount * (settled == "settled")
        settlements = "select count(*) from ledger.transfer where account_id = $1 and kind in ('c', 'r')"
        assert await fact(region, settlements, account) == 200
        assert (
            await fact(region, "select posted from ledger.account where id = $1", account)
            == 10_000 - captured
        )
        assert await fact(region, "select held from ledger.account where id = $1", account) == 0
    await assert_events_are_whole(region)
    await assert_money_is_clean(region)


async def test_two_workers_with_one_token_settle_once(region: TestRegion, worker: asyncpg.Connection) -> None:
    async with connected(region, "babysea_admitter", 8) as connections:
        _, ids = await admitted(region, connections[0], 30)
        await begin_all(worker, *ids)
        for id_ in ids:
            answers = await asyncio.gather(*(settle(connection, End(id_)) for connection in connections))
            assert sorted(word for (word,) in answers) == ["settled"] + ["stale"] * 7
    await assert_money_is_clean(region)


async def test_a_settlement_waits_for_an_uncommitted_cancel_and_gives_way(region: TestRegion) -> None:
    async with connected(region, "babysea_admitter", 2) as (one, two):
        account, (id_,) = await admitted(region, one)
        transaction = one.transaction()
        await transaction.start()
        assert await cancel(one, (account, id_)) == [("canceled", False)]
        late = asyncio.create_task(settle(two, End(id_)))
        await asyncio.sleep(0)
        await transaction.commit()
        assert await late == ["stale"]
        assert [answer[0] for answer in await admit(one, Ask(account, id=id_))] == ["already_released"]
    await assert_money_is_clean(region)


async def test_a_cancel_ends_no_generation_whose_job_it_did_not_lock(
    region: TestRegion, worker: asyncpg.Connection
) -> None:
    async with (
        connected(region, "babysea_admitter", 2) as (one, two),
        connected(region, "babysea_worker", 1) as (holder,),
    ):
        account, (first,) = await admitted(region, one)
        late = Ask(account)
        holding, working = holder.transaction(), worker.transaction()
        await holding.start()
        assert await begin(holder, first, 0, uuid4()) == "begun"
        canceling = asyncio.create_task(cancel(two, (account, first), (account, late.id)))
        await _blocked_or_done(region, two, holder, canceling)
        # Admitted while the cancel waits for its first job: too late for the cancel to have locked this one's.
        assert await words(one, late) == ["held"]
        await working.start()
        await worker.fetchval("select generation.note_cancel_sent($1, 0, $2)", late.id, uuid4())
        await holding.commit()
        await _blocked_or_done(region, two, worker, canceling)
        # A worker locks the job first, then the generation; a cancel that went the other way round would deadlock.
        assert await begin(worker, late.id, 0, uuid4()) in {"begun", "ended"}
        await working.commit()
        assert (await canceling)[0] == ("canceled", True)
    await assert_money_is_clean(region)


async def _blocked_or_done(
    region: TestRegion,
    waiting: asyncpg.Connection,
    by: asyncpg.Connection,
    task: asyncio.Task[list[tuple[str, bool]]],
) -> None:
    """Returns once a connection's statement waits for another connection, or has ended."""
    watcher = await region.connect()
    try:
        async with asyncio.timeout(10):
            while not task.done() and not await watcher.fetchval(
                "select $2::int = any (pg_blocking_pids($1))", waiting.get_server_pid(), by.get_server_pid()
            ):
                await asyncio.sleep(0)
    finally:
        await watcher.close()
