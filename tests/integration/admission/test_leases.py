"""Leases: one holder per job, fencing tokens, and jobs that never get lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from server.runtime import leases
from server.runtime.leases import Job
from tests.integration.admission.calling import (
    Ask,
    End,
    begin,
    begin_all,
    cancel,
    connected,
    fact,
    settle,
    words,
)
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

SOON = timedelta(seconds=-1)
LATER = timedelta(hours=1)


@pytest.fixture(autouse=True)
async def _no_jobs_yet(superuser: asyncpg.Connection) -> None:
    await superuser.execute("delete from runtime.job; delete from runtime.worker")


async def jobs(region: TestRegion, n: int) -> set[UUID]:
    """Due jobs without generations behind them."""
    ids = [uuid4() for _ in range(n)]
    connection = await region.connect()
    try:
        await connection.executemany(
            "insert into runtime.job (id, run_after) values ($1, now())", [(id_,) for id_ in ids]
        )
    finally:
        await connection.close()
    return set(ids)


async def new_worker(region: TestRegion, seconds: float = 3600) -> UUID:
    """A registered worker."""
    worker = uuid4()
    assert await leases.heartbeat(region.databases.worker, worker, seconds, new=True)
    return worker


async def expire(region: TestRegion, worker: UUID) -> None:
    """Lets a worker's lease run out."""
    await fact(region, "update runtime.worker set expires_at = now() - interval '1 s' where id = $1", worker)


async def test_eight_claimers_share_five_hundred_jobs_and_no_job_has_two_holders(region: TestRegion) -> None:
    waiting = await jobs(region, 500)
    taken: list[tuple[UUID, int]] = []
    async with connected(region, "babysea_worker", 8) as connections:

        async def claim(connection: asyncpg.Connection) -> int:
            worker, mine = await new_worker(region), 0
            while True:
                rows = await connection.fetch("select id, token from runtime.claim($1, 7)", worker)
                if (
                    not rows
                    and await fact(region, "select count(*) from runtime.job where worker is null") == 0
                ):
                    return mine
                taken.extend((row["id"], row["token"]) for row in rows)
                mine += len(rows)

        await asyncio.gather(*(claim(connection) for connection in connections))
    assert len(taken) == 500
    assert {id_ for id_, _ in taken} == waiting
    assert {token for _, token in taken} == {1}


async def test_only_due_jobs_are_claimed_earliest_first_and_only_by_the_living(region: TestRegion) -> None:
    engine = region.databases.worker
    (late,) = await jobs(region, 1)
    (early,) = await jobs(region, 1)
    (future,) = await jobs(region, 1)
    await fact(region, "update runtime.job set run_after = now() - interval '1 h' where id = $1", early)
    await fact(region, "update runtime.job set run_after = now() + interval '1 h' where id = $1", future)
    assert await leases.claim(engine, uuid4(), 10) == []
    dead = await new_worker(region)
    await expire(region, dead)
    assert await leases.claim(engine, dead, 10) == []
    worker = await new_worker(region)
    assert await leases.claim(engine, worker, 1) == [Job(early, 1, 1)]
    assert await leases.claim(engine, worker, 10) == [Job(late, 1, 1)]


async def test_jobs_of_a_silent_worker_go_to_others_under_a_new_token(region: TestRegion) -> None:
    engine = region.databases.worker
    (id_,) = await jobs(region, 1)
    zombie = await new_worker(region)
    (held,) = await leases.claim(engine, zombie, 10)
    assert await leases.reclaim(engine) == 0
    await expire(region, zombie)
    assert await leases.heartbeat(engine, zombie, 60) is False
    assert await leases.reclaim(engine) == 1
    assert await leases.reclaim(engine) == 0
    heir = await new_worker(region)
    assert await leases.claim(engine, heir, 10) == [Job(id_, held.token + 2, 2)]
    assert await leases.give_back(engine, held, 0) is False
    assert await leases.finish(engine, held) is False
    assert await leases.leave(engine, zombie) == 0
    assert await fact(region, "select worker from runtime.job where id = $1", id_) == heir


async def test_a_zombie_is_shut_out_as_soon_as_its_job_is_reclaimed(region: TestRegion) -> None:
    engine = region.databases.worker
    account = await region.new_account(credit=100)
    ask = Ask(account)
    async with (
        connected(region, "babysea_admitter", 1) as (admitter,),
        connected(region, "babysea_worker", 1) as (worker,),
    ):
        assert await words(admitter, ask) == ["held"]
        zombie = await new_worker(region)
        (held,) = await leases.claim(engine, zombie, 10)
        attempt = uuid4()
        assert await begin(worker, held.id, held.token, attempt) == "begun"
        await expire(region, zombie)
        assert await leases.reclaim(engine) == 1
        assert await begin(worker, held.id, held.token, uuid4(), 2) == "stale"
        assert await settle(admitter, End(held.id, 5, held.token, attempt=attempt)) == ["stale"]
        assert await settle(admitter, End(held.id, 5, held.token + 1, attempt=attempt)) == ["settled"]
    await assert_money_is_clean(region)


async def test_a_claimed_job_whose_workers_row_vanished_is_reclaimed(region: TestRegion) -> None:
    engine = region.databases.worker
    (id_,) = await jobs(region, 1)
    worker = await new_worker(region)
    assert len(await leases.claim(engine, worker, 10)) == 1
    await fact(region, "delete from runtime.worker where id = $1", worker)
    assert await leases.reclaim(engine) == 1
    heir = await new_worker(region)
    assert await leases.claim(engine, heir, 10) == [Job(id_, 3, 2)]


async def test_a_job_is_given_back_until_a_time_and_sooner_when_it_was_woken(region: TestRegion) -> None:
    engine = region.databases.worker
    (id_,) = await jobs(region, 1)
    worker = await new_worker(region)
    (held,) = await leases.claim(engine, worker, 10)
    assert await leases.give_back(engine, held, LATER.total_seconds())
    assert await leases.claim(engine, worker, 10) == []
    await fact(region, "update runtime.job set run_after = now() where id = $1", id_)
    (held,) = await leases.claim(engine, worker, 10)
    await fact(region, "update runtime.job set run_after = now() where id = $1", id_)
    assert await leases.give_back(engine, held, LATER.total_seconds())
    assert await leases.claim(engine, worker, 10) == [Job(id_, held.token + 2, 3)]


async def test_a_worker_that_leaves_frees_its_jobs_at_once_and_loses_its_tokens(region: TestRegion) -> None:
    engine = region.databases.worker
    await jobs(region, 3)
    worker = await new_worker(region)
    held = await leases.claim(engine, worker, 2)
    assert await leases.leave(engine, worker) == 2
    assert await leases.heartbeat(engine, worker, 60) is False
    for job in held:
        assert await leases.finish(engine, job) is False
    heir = await new_worker(region)
    assert len(await leases.claim(engine, heir, 10)) == 3


async def test_a_finished_job_is_gone_for_everybody(region: TestRegion) -> None:
    engine = region.databases.worker
    await jobs(region, 1)
    worker = await new_worker(region)
    (held,) = await leases.claim(engine, worker, 10)
    assert await leases.finish(engine, held) is True
    assert await leases.finish(engine, held) is False
    assert await leases.give_back(engine, held, SOON.total_seconds()) is False
    assert await fact(region, "select count(*) from runtime.job") == 0


async def test_a_late_heartbeat_and_a_reclaim_never_both_win(region: TestRegion) -> None:
    engine = region.databases.worker
    for _ in range(40):
        await jobs(region, 1)
        worker = await new_worker(region)
        claimed = await leases.claim(engine, worker, 10)
        await expire(region, worker)
        alive, freed = await asyncio.gather(leases.heartbeat(engine, worker, 60), leases.reclaim(engine))
        assert (alive, freed) == (False, len(claimed))
        await fact(region, "delete from runtime.job")


@pytest.mark.parametrize("shut_out", ["reclaim", "leave"])
@pytest.mark.parametrize("ending", ["settle", "cancel"])
async def test_jobs_that_are_freed_while_they_end_in_batches_never_deadlock(
    region: TestRegion, shut_out: str, ending: str
) -> None:
    account = await region.new_account(credit=10**6, in_flight=10**6)
    async with (
        connected(region, "babysea_admitter", 1) as (admitter,),
        connected(region, "babysea_worker", 1) as (worker,),
    ):
        for _ in range(25):
            # Claimed from the highest id down, so that a scan by worker meets them in the opposite order of their ids.
            asks = sorted((Ask(account) for _ in range(40)), key=lambda ask: ask.id, reverse=True)
            for ask in asks:
                assert await words(admitter, ask) == ["held"]
            holder = await new_worker(region)
            held = await leases.claim(region.databases.worker, holder, 1000)
            if ending == "settle":
                for job in held:
                    await begin_all(worker, job.id, token=job.token)
            await expire(region, holder)
            free = (
                worker.fetchval("select runtime.reclaim()")
                if shut_out == "reclaim"
                else worker.fetchval("select runtime.leave($1)", holder)
            )
            end = (
                settle(admitter, *(End(job.id, 5, job.token) for job in held))
                if ending == "settle"
                else cancel(admitter, *((account, job.id) for job in held))
            )
            await asyncio.gather(free, end)
            await fact(region, "delete from runtime.job")
    await assert_money_is_clean(region, abandoned=True)
