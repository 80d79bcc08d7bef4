"""The log's store is away: requests go on, memory stays bounded, and what was lost is counted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from pydantic import SecretStr

from kit.clock import SystemClock
from kit.ids import uuid7
from server.logs import store
from server.logs.recording import LOST, WRITTEN, RequestRecorder, once_each
from server.runtime.database import open_databases
from server.runtime.request_facts import RequestFact
from tests.integration.logs.world import Tenant, World
from tests.support.region import TestRegion


def fact(account_id: UUID, **changes: object) -> RequestFact:
    """A request that was answered just now."""
    now = datetime.now(UTC)
    values: dict[str, object] = {
        "id": uuid7(),
        "account_id": account_id,
        "key_id": None,
        "person_id": uuid7(),
        "at": now,
        "ended_at": now,
        "surface": "rest",
        "method": "GET",
        "route": "/v1/status",
        "query": "",
        "status": 200,
        "bse_code": None,
        "millis": 1,
        "replayed": False,
        "address_hash": bytes(32),
        "user_agent": "",
        "request_id": None,
    }
    return RequestFact(**{**values, **changes})  # type: ignore[arg-type]


async def stop_the_store(region: TestRegion) -> None:
    """Shuts the log's role out of the database, in the middle of whatever it does."""
    connection = await region.connect()
    try:
        await connection.execute(f"revoke connect on database {region.database.name} from babysea_logger")
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'babysea_logger' and datname = current_database()"
        )
    finally:
        await connection.close()


async def start_the_store(region: TestRegion) -> None:
    """Lets the log's role in again."""
    connection = await region.connect()
    try:
        await connection.execute(f"grant connect on database {region.database.name} to babysea_logger")
    finally:
        await connection.close()


async def test_requests_are_answered_while_the_store_is_away_and_logged_when_it_is_back(
    world: World, tenant: Tenant
) -> None:
    await tenant.get("/v1/status")
    await tenant.rows()
    await stop_the_store(world.region)
    try:
        for _ in range(20):
            assert (await tenant.get("/v1/status")).status_code == 200
    finally:
        await start_the_store(world.region)
    assert len(await tenant.rows(21)) == 21


async def test_a_full_buffer_gives_up_the_newest_and_counts_them_as_a_gap(region: TestRegion) -> None:
    account_id = await region.new_account()
    figures: dict[str, float] = {}
    engine = region.databases.logger
    assert engine is not None
    await stop_the_store(region)
    try:
        async with RequestRecorder(
            engine, "test", SystemClock(), figures.__setitem__, capacity=100
        ) as recorder:
            for _ in range(250):
                recorder.record(fact(account_id))
            assert (recorder.waiting, recorder.lost) == (100, 150)
            # The writer has met the trouble before the store returns.
            async with asyncio.timeout(10):
                while LOST not in figures:
                    await asyncio.sleep(0.05)
            await start_the_store(region)
            async with asyncio.timeout(20):
                while figures.get(WRITTEN) != 100:
                    await asyncio.sleep(0.05)
    finally:
        await start_the_store(region)
    connection = await region.connect()
    try:
        count = "select count(*) from logs.request where account_id = $1"
        assert await connection.fetchval(count, account_id) == 100
        (gap,) = await connection.fetch("select * from logs.gap where process = 'test'")
        assert gap["lost"] == 150
        assert gap["began_at"] <= gap["ended_at"]
    finally:
        await connection.close()


async def test_what_waits_is_written_when_the_server_ends(region: TestRegion) -> None:
    account_id = await region.new_account()
    engine = region.databases.logger
    assert engine is not None
    async with RequestRecorder(engine, "test", SystemClock(), lambda name, value: None) as recorder:
        for _ in range(1234):
            recorder.record(fact(account_id))
    assert (recorder.waiting, recorder.written, recorder.lost) == (0, 1234, 0)


async def test_a_store_that_stays_away_does_not_hold_up_the_end(region: TestRegion) -> None:
    settings = region.settings.model_copy(
        update={"logs_database_url": SecretStr("postgresql://babysea_logger:x@127.0.0.1:1/x")}
    )
    databases = open_databases(settings)
    assert databases.logger is not None
    try:
        recorder = RequestRecorder(
            databases.logger, "test", SystemClock(), lambda name, value: None, drain_seconds=0.5
        )
        async with asyncio.timeout(10), recorder:
            recorder.record(fact(uuid7()))
        assert recorder.waiting == 1
    finally:
        await databases.close()


async def test_a_row_that_the_database_refuses_takes_no_other_with_it(region: TestRegion) -> None:
    account_id = await region.new_account()
    engine = region.databases.logger
    assert engine is not None
    async with RequestRecorder(engine, "bad value", SystemClock(), lambda name, value: None) as recorder:
        recorder.record(fact(account_id))
        recorder.record(fact(account_id, route="/" + "x" * 300))
        recorder.record(fact(account_id))
    assert (recorder.written, recorder.lost, recorder.waiting) == (2, 1, 0)


async def test_a_batch_that_is_written_again_changes_nothing(region: TestRegion) -> None:
    account_id = await region.new_account()
    rows = [fact(account_id, key_id=None) for _ in range(3)]
    connection = await region.connect()
    try:
        engine = region.databases.logger
        assert engine is not None
        assert await store.write_requests(engine, rows) == 3
        assert await store.write_requests(engine, rows) == 0
        count = "select count(*) from logs.request where account_id = $1"
        assert await connection.fetchval(count, account_id) == 3
    finally:
        await connection.close()


async def test_the_logger_may_write_and_nothing_else(region: TestRegion) -> None:
    logger = await region.connect("babysea_logger")
    try:
        for statement in (
            "select 1 from logs.request",
            "select 1 from logs.gap",
            "delete from logs.request",
            "select 1 from keys.api_key",
            "select logs.forget_key(gen_random_uuid())",
            "select logs.drop_partitions(current_date)",
        ):
            try:
                await logger.execute(statement)
            except asyncpg.InsufficientPrivilegeError:
                continue
            raise AssertionError(statement)
    finally:
        await logger.close()


def test_of_repeated_calls_in_one_batch_the_last_outcome_stands() -> None:
    first = fact(uuid7(), status=503, bse_code="BSE5002", millis=4)
    later = fact(first.account_id, id=first.id, at=first.at, ended_at=datetime.now(UTC), millis=3)
    for order in ([first, later], [later, first]):
        (kept,) = once_each(order)
        assert (kept.status, kept.bse_code, kept.millis) == (200, None, 7)
