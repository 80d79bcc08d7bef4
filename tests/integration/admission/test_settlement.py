"""How generations run and end: fencing, words, files, events without gaps."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.admission.calling import (
    End,
    admitted,
    assert_events_are_whole,
    begin,
    begin_all,
    cancel,
    event_versions,
    fact,
    record,
    settle,
    state,
)
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

FILE = {"storage_key": "a/b.png", "content_type": "image/png", "size_bytes": 3, "sha256": "ab" * 32}


async def snapshot(region: TestRegion, id_: UUID) -> object:
    """Everything that is stored about a generation, as text."""
    return await fact(
        region,
        "select concat_ws('|', g::text, (select h::text from ledger.hold h where h.id = g.id), (select j::text from runtime.job j where j.id = g.id),"
        " (select string_agg(a::text, ',' order by a.ordinal) from generation.attempt a where a.generation_id = g.id),"
        " (select count(*) from generation.output o where o.generation_id = g.id),"
        " (select count(*) from events.event e where e.aggregate_id = g.id), (select a::text from ledger.account a where a.id = g.account_id))"
        " from generation.generation g where g.id = $1",
        id_,
    )


async def test_a_success_is_charged_stored_and_told_in_one_transaction(
    region: TestRegion, admitter: asyncpg.Connection, worker: asyncpg.Connection
) -> None:
    account, (id_,) = await admitted(region, admitter)
    attempt = uuid4()
    assert await begin(worker, id_, 0, attempt) == "begun"
    assert await record(worker, id_, 0, attempt, "accepted", job_id=str(id_)) == "recorded"
    outputs = json.dumps([FILE, {**FILE, "storage_key": "a/c.png"}])
    assert await settle(admitter, End(id_, 3, attempt=attempt, outputs=outputs, cost=2)) == ["settled"]
    connection = await region.connect()
    try:
        row = await connection.fetchrow(
            "select g.state, g.charged, g.provider_used, g.version, a.state as attempt, a.cost_micros, a.resolved_at = g.completed_at as same,"
            " l.posted, l.held, l.open_holds from generation.generation g join generation.attempt a on a.generation_id = g.id"
            " join ledger.account l on l.id = g.account_id where g.id = $1",
            id_,
        )
        files = await connection.fetch(
            "select ordinal, account_id, storage_key, encode(sha256, 'hex') as sha from generation.output"
            " where generation_id = $1 order by ordinal",
            id_,
        )
    finally:
        await connection.close()
    assert row is not None
    assert tuple(row) == ("succeeded", 3, "fal", 3, "succeeded", 2, True, 9_997, 0, 0)
    assert [tuple(file) for file in files] == [
        (1, account, "a/b.png", "ab" * 32),
        (2, account, "a/c.png", "ab" * 32),
    ]
    assert await fact(region, "select count(*) from runtime.job where id = $1", id_) == 0
    assert await event_versions(region, id_) == [
        (1, "generation.accepted"),
        (2, "generation.started"),
        (3, "generation.completed"),
    ]
    await assert_events_are_whole(region)
    await assert_money_is_clean(region)


async def test_failed_attempts_are_told_without_gaps_and_a_failure_costs_nothing(
    region: TestRegion, admitter: asyncpg.Connection, worker: asyncpg.Connection
) -> None:
    account, (id_,) = await admitted(region, admitter)
    for ordinal in (1, 2):
        attempt = uuid4()
        assert await begin(worker, id_, 0, attempt, ordinal) == "begun"
        assert await record(worker, id_, 0, attempt, "failed") == "recorded"
        before = await snapshot(region, id_)
        for late in ("accepted", "failed", "discarded"):
            assert await record(worker, id_, 0, attempt, late, job_id="late", cost=9) == "recorded"
        assert await snapshot(region, id_) == before
    assert await settle(admitter, End(id_, 5, state="failed")) == ["settled"]
    assert await event_versions(region, id_) == [
        (1, "generation.accepted"),
        (2, "generation.started"),
        (3, "attempt.resolved"),
        (4, "attempt.resolved"),
        (5, "generation.failed"),
    ]
    assert await fact(region, "select posted from ledger.account where id = $1", account) == 10_000
    await assert_events_are_whole(region)
    await assert_money_is_clean(region)


async def test_a_stale_token_writes_nothing_anywhere(
    region: TestRegion, admitter: asyncpg.Connection, worker: asyncpg.Connection
) -> None:
    _, (id_,) = await admitted(region, admitter)
    attempt = uuid4()
    assert await begin(worker, id_, 0, attempt) == "begun"
    connection = await region.connect()
    try:
        await connection.execute("update runtime.job set token = 7 where id = $1", id_)
    finally:
        await connection.close()
    before = await snapshot(region, id_)
    for token in (0, 6, 8, -1):
        assert await begin(worker, id_, token, uuid4(), 2) == "stale"
        assert await record(worker, id_, token, attempt, "failed") == "stale"
        assert await settle(admitter, End(id_, 5, token, attempt=attempt)) == ["stale"]
        assert await settle(admitter, End(id_, 0, token, "failed")) == ["stale"]
        sent = "select generation.note_cancel_sent($1, $2, $3)"
        assert await worker.fetchval(sent, id_, token, attempt) is False
        assert await worker.fetchval("select runtime.give_back($1, $2, interval '0')", id_, token) is False
        assert await worker.fetchval("select runtime.finish($1, $2)", id_, token) is False
    assert await snapshot(region, id_) == before
    assert await settle(admitter, End(id_, 5, 7, attempt=attempt)) == ["settled"]
    await assert_money_is_clean(region)


@pytest.mark.parametrize("stale_first", [True, False])
async def test_a_stale_settlement_beside_the_rightful_one_in_a_batch_loses(
    region: TestRegion, admitter: asyncpg.Connection, worker: asyncpg.Connection, stale_first: bool
) -> None:
    account, (id_,) = await admitted(region, admitter)
    assert await worker.fetchval("select runtime.heartbeat($1, interval '1 hour', true)", holder := uuid4())
    jobs = await worker.fetch("select id, token from runtime.claim($1, 1000)", holder)
    token = {job["id"]: job["token"] for job in jobs}[id_]
    await begin_all(worker, id_, token=token)
    stale, rightful = End(id_, 5, token - 1), End(id_, 2, token)
    batch = (stale, rightful) if stale_first else (rightful, stale)
    expected = ["stale", "settled"] if stale_first else ["settled", "stale"]
    assert await settle(admitter, *batch) == expected
    assert await fact(region, "select charged from generation.generation where id = $1", id_) == 2
    assert await fact(region, "select posted from ledger.account where id = $1", account) == 9_998
    await assert_money_is_clean(region)


async def test_an_end_is_the_end(
    region: TestRegion, admitter: asyncpg.Connection, worker: asyncpg.Connection
) -> None:
    account, (canceled, succeeded, failed) = await admitted(region, admitter, 3)
    assert await cancel(admitter, (account, canceled)) == [("canceled", False)]
    await begin_all(worker, succeeded)
    assert await settle(admitter, End(succeeded), End(failed, 0, state="failed")) == ["settled", "settled"]
    before = [await snapshot(region, id_) for id_ in (canceled, succeeded, failed)]
    assert await cancel(admitter, (account, succeeded), (account, failed), (account, canceled)) == [
        ("already_succeeded", False),
        ("already_failed", False),
        ("already_canceled", False),
    ]
    # Their jobs are gone, so nobody holds a token any more.
    assert await settle(admitter, *(End(id_) for id_ in (canceled, succeeded, failed))) == ["stale"] * 3
    assert [await snapshot(region, id_) for id_ in (canceled, succeeded, failed)] == before
    await assert_money_is_clean(region)


async def test_a_success_after_the_cancel_is_answered_already_canceled_and_never_charged(
    region: TestRegion, admitter: asyncpg.Connection, worker: asyncpg.Connection
) -> None:
    account, (id_,) = await admitted(region, admitter)
    attempt = uuid4()
    assert await begin(worker, id_, 0, attempt) == "begun"
    assert await cancel(admitter, (account, id_)) == [("canceled", True)]
    assert await fact(region, "select run_after <= now() from runtime.job where id = $1", id_) is True
    assert await begin(worker, id_, 0, uuid4(), 2) == "ended"
    outputs = json.dumps([FILE])
    assert await settle(admitter, End(id_, 5, attempt=attempt, outputs=outputs)) == ["already_canceled"]
    assert await fact(region, "select count(*) from generation.output where generation_id = $1", id_) == 0
    assert await fact(region, "select posted - held from ledger.account where id = $1", account) == 10_000
    assert await worker.fetchval("select generation.note_cancel_sent($1, 0, $2)", id_, attempt) is True
    assert await record(worker, id_, 0, attempt, "discarded", cost=4) == "recorded"
    assert [type_ for _, type_ in await event_versions(region, id_)] == [
        "generation.accepted",
        "generation.started",
        "generation.canceled",
        "attempt.resolved",
    ]
    await assert_events_are_whole(region)
    await assert_money_is_clean(region)


async def test_a_cancel_wakes_a_claimed_job_whose_provider_may_be_at_work(
    region: TestRegion, admitter: asyncpg.Connection, worker: asyncpg.Connection
) -> None:
    account, (id_,) = await admitted(region, admitter)
    assert await worker.fetchval("select runtime.heartbeat($1, interval '1 hour', true)", holder := uuid4())
    jobs = await worker.fetch("select id, token from runtime.claim($1, 1000)", holder)
    token = {job["id"]: job["token"] for job in jobs}[id_]
    assert await begin(worker, id_, token, uuid4()) == "begun"
    assert await cancel(admitter, (account, id_)) == [("canceled", True)]
    far = "select runtime.give_back($1, $2, interval '1 hour')"
    assert await worker.fetchval(far, id_, token) is True
    assert await fact(region, "select run_after <= now() from runtime.job where id = $1", id_) is True


async def test_another_accounts_generation_is_unknown_to_a_cancel(
    region: TestRegion, admitter: asyncpg.Connection
) -> None:
    account, (id_,) = await admitted(region, admitter)
    stranger = await region.new_account(credit=10)
    before = await snapshot(region, id_)
    assert await cancel(admitter, (stranger, id_), (stranger, uuid4())) == [("unknown", False)] * 2
    assert await snapshot(region, id_) == before
    assert await cancel(admitter, (account, id_), (account, id_)) == [
        ("canceled", False),
        ("already_canceled", False),
    ]
    await assert_money_is_clean(region)


async def test_a_strangers_cancel_in_the_same_batch_does_not_spoil_the_owners(
    region: TestRegion, admitter: asyncpg.Connection
) -> None:
    account, (id_,) = await admitted(region, admitter)
    stranger = await region.new_account(credit=10)
    answers = await cancel(admitter, (stranger, id_), (account, id_))
    assert answers == [("unknown", False), ("canceled", False)]
    assert await state(region, id_) == "canceled"


@pytest.mark.parametrize("capture", [6, -1, None, 10**13])
async def test_a_capture_that_the_hold_does_not_cover_ends_nothing(
    region: TestRegion, admitter: asyncpg.Connection, worker: asyncpg.Connection, capture: int | None
) -> None:
    _, (id_, innocent) = await admitted(region, admitter, 2)
    await begin_all(worker, id_, innocent)
    before = [await snapshot(region, one) for one in (id_, innocent)]
    with pytest.raises(asyncpg.RaiseError):
        await settle(admitter, End(innocent), End(id_, capture))
    assert [await snapshot(region, one) for one in (id_, innocent)] == before
    await assert_money_is_clean(region)


async def test_a_success_that_charges_nothing_is_refused(
    region: TestRegion, admitter: asyncpg.Connection, worker: asyncpg.Connection
) -> None:
    _, (id_,) = await admitted(region, admitter)
    await begin_all(worker, id_)
    with pytest.raises(asyncpg.RaiseError):
        await settle(admitter, End(id_, 0))
    assert await state(region, id_) == "processing"


async def test_outputs_that_cannot_be_read_take_the_whole_settlement_back(
    region: TestRegion, admitter: asyncpg.Connection, worker: asyncpg.Connection
) -> None:
    _, (id_,) = await admitted(region, admitter)
    await begin_all(worker, id_)
    before = await snapshot(region, id_)
    for outputs in ("{", '[{"storage_key": null}]', "7"):
        with pytest.raises(asyncpg.PostgresError):
            await settle(admitter, End(id_, 5, outputs=outputs))
    assert await snapshot(region, id_) == before
    await assert_money_is_clean(region)


async def test_an_attempt_that_ended_is_not_made_a_success_by_a_settlement(
    region: TestRegion, admitter: asyncpg.Connection, worker: asyncpg.Connection
) -> None:
    _, (id_, other) = await admitted(region, admitter, 2)
    mine, foreign = uuid4(), uuid4()
    assert await begin(worker, other, 0, foreign, provider="replicate") == "begun"
    assert await begin(worker, id_, 0, mine) == "begun"
    assert await record(worker, id_, 0, mine, "failed") == "recorded"
    with pytest.raises(asyncpg.RaiseError):
        await settle(admitter, End(id_, 5, attempt=mine))
    with pytest.raises(asyncpg.RaiseError):
        await settle(admitter, End(id_, 5, attempt=foreign))
    assert await state(region, id_) == "processing"


async def test_one_job_of_a_provider_belongs_to_one_attempt(
    region: TestRegion, admitter: asyncpg.Connection, worker: asyncpg.Connection
) -> None:
    _, (one, two) = await admitted(region, admitter, 2)
    first, second = uuid4(), uuid4()
    assert await begin(worker, one, 0, first) == "begun"
    assert await begin(worker, two, 0, second) == "begun"
    assert await record(worker, one, 0, first, "accepted", job_id="the-job") == "recorded"
    with pytest.raises(asyncpg.UniqueViolationError):
        await record(worker, two, 0, second, "accepted", job_id="the-job")
