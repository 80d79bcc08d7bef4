"""The verbs of late successes: which ends are watched, who takes a look, and that its cost is booked once."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest

from kit.ids import uuid7
from server.generation.execution import late_store
from server.generation.execution.late_store import LateLook
from server.generation.execution.waking import wake_for_callback
from server.providers.protocol import ProviderRef
from tests.integration.admission.calling import End, admitted, begin, connected, record, settle
from tests.integration.ledger.test_house_book import PAYABLE, WASTE, booked
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

LOOK = "select * from generation.late_look where attempt_id = $1"
ATTEMPT = "select state, ended_as, cost_micros, late_at from generation.attempt where id = $1"


async def ended(region: TestRegion, state: str, cost: int | None = None, *, named: bool = True) -> UUID:
    """An attempt, of the id of its generation, that ended so; `named` when its provider had named a job."""
    async with connected(region, "babysea_admitter", 1) as (admitter,):
        _, (id_,) = await admitted(region, admitter)
    async with connected(region, "babysea_worker", 1) as (worker,):
        assert await begin(worker, id_, 0, id_) == "begun"
        if named:
            await accept(worker, id_)
        assert await record(worker, id_, 0, id_, state, cost=cost) == "recorded"
    return id_


async def accept(worker: asyncpg.Connection, id_: UUID) -> str:
    """Records the job that the provider of an attempt named."""
    accepting = "select generation.record_acceptance($1, $1, $2, $3)"
    return str(await worker.fetchval(accepting, id_, str(id_), ProviderRef(str(id_), {}).to_json()))


async def taken(region: TestRegion, superuser: asyncpg.Connection, attempt: UUID) -> LateLook:
    """The look at an attempt, made due and taken by a worker."""
    await superuser.execute(
        "update generation.late_look set run_after = now() where attempt_id = $1", attempt
    )
    looks = await late_store.take(region.databases.worker, 1000, 60)
    return next(look for look in looks if look.attempt_id == attempt)


@pytest.mark.parametrize(
    ("state", "named", "is_watched"),
    [("failed", True, True), ("canceled", True, True), ("discarded", True, False), ("failed", False, False)],
)
async def test_an_end_without_success_is_watched_where_there_was_a_job(
    region: TestRegion, superuser: asyncpg.Connection, state: str, named: bool, is_watched: bool
) -> None:
    attempt = await ended(region, state, named=named)
    assert (await superuser.fetchrow(LOOK, attempt) is not None) is is_watched


async def test_a_job_that_is_named_after_its_attempt_had_failed_is_watched(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    attempt = await ended(region, "failed", named=False)
    async with connected(region, "babysea_worker", 1) as (worker,):
        assert await accept(worker, attempt) == "ended"
    assert await superuser.fetchrow(LOOK, attempt) is not None


@pytest.mark.parametrize("state", ["failed", "canceled"])
async def test_of_many_who_find_it_one_books_it(
    region: TestRegion, superuser: asyncpg.Connection, state: str
) -> None:
    attempt = await ended(region, state)
    look = await taken(region, superuser, attempt)
    words = await asyncio.gather(*(late_store.book(region.databases.worker, look, 700) for _ in range(20)))
    assert sorted(words) == [False] * 19 + [True]
    assert await booked(superuser, attempt) == [(WASTE, PAYABLE, 700, True, "discarded")]
    row = await superuser.fetchrow(ATTEMPT, attempt)
    assert row is not None
    assert tuple(row)[:3] == ("discarded", state, 700)
    assert row["late_at"] is not None
    assert await superuser.fetchrow(LOOK, attempt) is None
    events = "select count(*) from events.event where aggregate_id = $1 and type = 'attempt.late_success'"
    assert await superuser.fetchval(events, attempt) == 1
    await assert_money_is_clean(region)


async def test_what_was_booked_at_the_end_is_not_booked_again(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    attempt = await ended(region, "failed", cost=70)
    look = await taken(region, superuser, attempt)
    assert await late_store.book(region.databases.worker, look, 700)
    assert await booked(superuser, attempt) == [(WASTE, PAYABLE, 70, True, "failed")]
    row = await superuser.fetchrow(ATTEMPT, attempt)
    assert row is not None
    assert row["cost_micros"] == 70, "the record and the book say the same"


async def test_a_late_success_beside_a_settlement_of_the_next_provider_takes_nothing_from_it(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    attempt = await ended(region, "failed")
    look = await taken(region, superuser, attempt)
    next_one = uuid7()
    async with (
        connected(region, "babysea_worker", 1) as (worker,),
        connected(region, "babysea_admitter", 1) as (admitter,),
    ):
        assert await begin(worker, attempt, 0, next_one, 2) == "begun"
        words, was_booked = await asyncio.gather(
            settle(admitter, End(attempt, capture=5, attempt=next_one)),
            late_store.book(region.databases.worker, look, 9),
        )
    assert (words, was_booked) == (["settled"], True)
    states = "select array_agg(state order by ordinal) from generation.attempt where generation_id = $1"
    assert await superuser.fetchval(states, attempt) == ["discarded", "succeeded"]
    await assert_money_is_clean(region)


async def test_one_worker_looks_at_a_time_and_a_report_meanwhile_is_not_forgotten(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    attempt = await ended(region, "failed")
    look = await taken(region, superuser, attempt)
    assert attempt not in [
        each.attempt_id for each in await late_store.take(region.databases.worker, 1000, 60)
    ]
    word = await wake_for_callback(region.databases.app, attempt, str(uuid7()), str(attempt))
    assert word == "late"
    await late_store.note(region.databases.worker, look, answered=True, pause=None)
    assert await superuser.fetchrow(LOOK, attempt) is not None, "it was asked about before the report came"
    again = await taken(region, superuser, attempt)
    await late_store.note(region.databases.worker, again, answered=True, pause=600)
    row = await superuser.fetchrow(LOOK, attempt)
    assert row is not None
    assert row["looks"] == 1
    last = await taken(region, superuser, attempt)
    await late_store.note(region.databases.worker, last, answered=True, pause=None)
    assert await superuser.fetchrow(LOOK, attempt) is None


async def test_a_report_has_an_attempt_asked_about_again_whose_last_look_is_over(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    attempt = await ended(region, "failed")
    look = await taken(region, superuser, attempt)
    await late_store.note(region.databases.worker, look, answered=True, pause=None)
    assert await wake_for_callback(region.databases.app, attempt, str(uuid7()), str(attempt)) == "late"
    assert await superuser.fetchval(
        "select run_after <= now() from generation.late_look where attempt_id = $1", attempt
    )


async def test_a_report_names_the_job_of_an_attempt_that_was_given_up(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    attempt = await ended(region, "failed", named=False)
    ref = ProviderRef("late-job", {})
    word = await wake_for_callback(region.databases.app, attempt, str(uuid7()), "late-job", ref)
    assert word == "late"
    assert (await taken(region, superuser, attempt)).ref == ref
