"""Overdue holds: asked about, woken, and ended only when nobody else can end them."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from server.ledger import movement, upkeep_store
from server.ledger.reconciliation import GRACE, STUCK, reconcile
from tests.integration.admission.calling import (
    End,
    admitted,
    assert_events_are_whole,
    begin,
    connected,
    fact,
    record,
    settle,
    state,
)
from tests.integration.ledger.verbs import capture, money, overdue, reserve
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

NONE = timedelta(0)
JOB = "select run_after <= clock_timestamp() as due, token, worker from runtime.job where id = $1"


async def look(region: TestRegion, id_: UUID, grace: timedelta = GRACE, stuck: timedelta = STUCK) -> str:
    """One look of the reconciler at a hold."""
    return await upkeep_store.reconcile_hold(region.databases.worker, id_, grace, stuck)


async def one_overdue(region: TestRegion) -> tuple[UUID, UUID]:
    """An account and a generation of it whose deadline was an hour ago."""
    async with connected(region, "babysea_admitter", 1) as (admitter,):
        account, (id_,) = await admitted(region, admitter)
    await overdue(region, id_)
    return account, id_


async def claimed(superuser: asyncpg.Connection, id_: UUID) -> int:
    """Claims a job for a worker that lives; its token."""
    worker = uuid4()
    await superuser.execute("update runtime.job set run_after = 'infinity' where id <> $1", id_)
    await superuser.execute("update runtime.job set run_after = now() where id = $1", id_)
    await superuser.execute("select runtime.heartbeat($1, interval '1 hour', true)", worker)
    row = await superuser.fetchrow("select * from runtime.claim($1, 1)", worker)
    assert row is not None
    assert row["id"] == id_
    return int(row["token"])


async def test_a_services_own_hold_returns_at_its_expiry_and_not_before(region: TestRegion) -> None:
    account, due, early = await region.new_account(credit=100), uuid4(), uuid4()
    for hold in (due, early):
        assert await reserve(region, account, hold, 10) == "held"
    assert await look(region, due) == "not_due"
    await overdue(region, due)
    assert await look(region, due) == "released"
    assert await look(region, due) == "settled"
    assert await look(region, uuid4()) == "settled"
    assert await capture(region, due, 10) == "already_released"
    assert await movement.release(region.databases.worker, early) == "released"
    assert await money(region, account) == (100, 0, 100)
    await assert_money_is_clean(region)


async def test_a_job_that_backs_off_past_its_deadline_is_woken(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    _, id_ = await one_overdue(region)
    await superuser.execute(
        "update runtime.job set run_after = now() + interval '1 minute' where id = $1", id_
    )
    assert await look(region, id_) == "woken"
    row = await superuser.fetchrow(JOB, id_)
    assert row is not None
    assert row["due"]
    assert await look(region, id_) == "waiting"
    assert await state(region, id_) == "pending"


async def test_a_job_that_is_missing_is_made_again_and_no_former_holder_is_let_in(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    _, id_ = await one_overdue(region)
    token = await claimed(superuser, id_)
    await superuser.execute("delete from runtime.job where id = $1", id_)
    assert await look(region, id_) == "adopted"
    row = await superuser.fetchrow(JOB, id_)
    assert row is not None
    assert row["due"]
    assert row["worker"] is None
    assert row["token"] > 10**12
    async with connected(region, "babysea_worker", 1) as (worker,):
        assert await begin(worker, id_, token, uuid4()) == "stale"
    await assert_money_is_clean(region)


async def test_an_open_attempt_that_nobody_asked_about_is_never_given_up(region: TestRegion) -> None:
    _, id_ = await one_overdue(region)
    async with connected(region, "babysea_worker", 1) as (worker,):
        assert await begin(worker, id_, 0, id_) == "begun"
    for _ in range(3):
        assert await look(region, id_, NONE, NONE) == "waiting"
    assert await state(region, id_) == "processing"


async def test_what_the_executor_could_not_end_is_ended_after_the_grace_in_one_transaction(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    account, id_ = await one_overdue(region)
    async with connected(region, "babysea_worker", 1) as (worker,):
        assert await begin(worker, id_, 0, id_) == "begun"
        assert await look(region, id_, NONE, NONE) == "waiting"
    await claimed(superuser, id_)
    # A worker had it, could not end it, and gave it back.
    back = "update runtime.job set worker = null, token = token + 1, run_after = now() where id = $1"
    await superuser.execute(back, id_)
    assert await look(region, id_, timedelta(hours=2), NONE) == "waiting"
    assert await look(region, id_, NONE, timedelta(hours=2)) == "waiting"
    assert await look(region, id_, NONE, NONE) == "ended"
    row = await superuser.fetchrow(
        "select g.state, g.error_code, g.charged, a.state as attempt, h.state::text as hold, e.outcome, e.cost_known"
        " from generation.generation g join generation.attempt a on a.generation_id = g.id join ledger.hold h on h.id = g.id"
        " join ledger.house_entry e on e.id = a.id where g.id = $1",
        id_,
    )
    assert row is not None
    assert tuple(row) == ("failed", "BSE4008", 0, "discarded", "released", "discarded", False)
    assert await superuser.fetchval("select count(*) from runtime.job where id = $1", id_) == 0
    assert await superuser.fetchval("select count(*) from ledger.overdue where hold_id = $1", id_) == 0
    assert await money(region, account) == (10_000, 0, 10_000)
    assert await look(region, id_, NONE, NONE) == "settled"
    await assert_money_is_clean(region)
    await assert_events_are_whole(region)


async def test_a_generation_that_nothing_was_sent_for_ends_without_being_asked_about(
    region: TestRegion,
) -> None:
    account, id_ = await one_overdue(region)
    assert await look(region, id_, NONE, NONE) == "ended"
    assert await state(region, id_) == "failed"
    assert await money(region, account) == (10_000, 0, 10_000)
    await assert_money_is_clean(region)


async def test_a_step_that_hangs_is_shut_out_and_a_step_that_moves_is_left_alone(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    _, id_ = await one_overdue(region)
    token = await claimed(superuser, id_)
    # Claimed a moment ago: it is told to look again, and not taken away.
    assert await look(region, id_, NONE, timedelta(minutes=1)) == "woken"
    assert await look(region, id_, NONE, timedelta(minutes=1)) == "waiting"
    await superuser.execute("update ledger.overdue set seen_at = now() - interval '1 hour'")
    assert await look(region, id_, NONE, timedelta(minutes=1)) == "waiting"
    await superuser.execute("update ledger.overdue set token_at = now() - interval '2 minutes'")
    assert await look(region, id_, NONE, timedelta(minutes=1)) == "ended"
    async with connected(region, "babysea_worker", 1) as (worker,):
        assert await begin(worker, id_, token, uuid4()) == "stale"
    async with connected(region, "babysea_admitter", 1) as (admitter,):
        assert await settle(admitter, End(id_, token=token, state="failed")) == ["stale"]
    await assert_money_is_clean(region)


async def test_a_hold_that_somebody_works_on_is_not_waited_for(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    _, id_ = await one_overdue(region)
    account, own = await region.new_account(credit=10), uuid4()
    assert await reserve(region, account, own, 5) == "held"
    await overdue(region, own)
    async with superuser.transaction():
        await superuser.execute("select 1 from runtime.job where id = $1 for update", id_)
        await superuser.execute("select 1 from ledger.hold where id = $1 for update", own)
        assert await look(region, id_, NONE, NONE) == "busy"
        assert await look(region, own, NONE, NONE) == "busy"
    assert await look(region, id_, NONE, NONE) == "ended"
    assert await look(region, own) == "released"


async def test_four_reconcilers_at_once_end_each_hold_once(region: TestRegion) -> None:
    await fact(region, "update runtime.job set attempt = attempt + 1, worker = null returning 1")
    await reconcile(region.databases.worker, NONE, NONE, 500)  # what other tests left behind
    async with connected(region, "babysea_admitter", 1) as (admitter,):
        account, ids = await admitted(region, admitter, 60)
    own = [uuid4() for _ in range(20)]
    for hold in own:
        assert await reserve(region, account, hold, 5) == "held"
    await overdue(region, *ids, *own)
    rounds = await asyncio.gather(*(reconcile(region.databases.worker, NONE, NONE, 500) for _ in range(4)))
    words: Counter[str] = sum(rounds, Counter())
    rest = await reconcile(region.databases.worker, NONE, NONE, 500)
    words += rest
    assert words["ended"] == 60
    assert words["released"] == 20
    assert words["error"] == 0
    assert await money(region, account) == (10_000, 0, 10_000)
    await assert_money_is_clean(region)
    await assert_events_are_whole(region)


@pytest.mark.parametrize("first", ["executor", "reconciler"])
async def test_success_and_the_last_resort_have_one_winner(region: TestRegion, first: str) -> None:
    async with connected(region, "babysea_admitter", 1) as (admitter,):
        account, ids = await admitted(region, admitter, 40)
        async with connected(region, "babysea_worker", 1) as (worker,):
            for id_ in ids:
                assert await begin(worker, id_, 0, id_) == "begun"
                assert await record(worker, id_, 0, id_, "accepted", job_id=str(id_)) == "recorded"
        await overdue(region, *ids)
        for id_ in ids:
            assert await look(region, id_, NONE, NONE) == "waiting"
        await fact(region, "update runtime.job set attempt = attempt + 1 returning 1")
        captured = 0
        for id_ in ids:
            calls = [settle(admitter, End(id_, capture=5)), look(region, id_, NONE, NONE)]
            answers = await asyncio.gather(*(calls if first == "executor" else calls[::-1]))
            said = {answer if isinstance(answer, str) else answer[0] for answer in answers}
            won = await state(region, id_) == "succeeded"
            assert said & {"settled", "ended"}
            captured += 5 * won
            assert ("ended" in said) == (not won)
    assert await money(region, account) == (10_000 - captured, 0, 10_000 - captured)
    await assert_money_is_clean(region)
    await assert_events_are_whole(region)
