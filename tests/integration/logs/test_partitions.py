"""Daily partitions of the logs: made ahead, dropped when they are old, and read by index."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from kit.ids import uuid7
from server.logs import store
from server.logs.store import ActivityFilter, Place, RequestFilter
from server.runtime.database import tenant_transaction
from server.runtime.upkeep import Upkeep
from tests.integration.logs.test_store_away import fact
from tests.support.region import TestRegion

PARTITIONS = """
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent in ('logs.request'::regclass, 'logs.activity'::regclass) and c.relname !~ 'default' order by 1
"""


async def test_upkeep_makes_the_coming_days_and_rows_go_there(region: TestRegion) -> None:
    await Upkeep(region.databases.worker).once()
    await Upkeep(region.databases.worker).once()
    engine = region.databases.logger
    assert engine is not None
    account_id = await region.new_account()
    await store.write_requests(engine, [fact(account_id)])
    connection = await region.connect()
    try:
        names = [row[0] for row in await connection.fetch(PARTITIONS)]
        today = datetime.now(UTC)
        days = [(today + timedelta(days=ahead)).strftime("%Y%m%d") for ahead in range(15)]
        assert set(names) >= {f"{table}_{day}" for table in ("request", "activity") for day in days[1:]}
        where = await connection.fetchval(
            "select tableoid::regclass::text from logs.request where account_id = $1", account_id
        )
        assert where == f"logs.request_{days[0]}"
    finally:
        await connection.close()


async def test_old_days_are_dropped_and_younger_ones_and_the_counts_stay(region: TestRegion) -> None:
    account_id, now = await region.new_account(), datetime.now(UTC)
    engine = region.databases.logger
    assert engine is not None
    old = now - timedelta(days=40)
    worker, connection = await region.connect("babysea_worker"), await region.connect()
    try:
        await connection.execute(
            "insert into keys.api_key (id, account_id, public_id, hash, name, scopes) values ($1, $2, $3, 'x', 'n', '{}')",
            key := uuid7(),
            account_id,
            key.hex[-12:],
        )
        rows = [fact(account_id, key_id=key, person_id=None, at=at, ended_at=at) for at in (old, now)]
        await store.write_requests(engine, rows)
        day = (now + timedelta(days=1)).date()
        await worker.execute("select logs.ensure_partitions(3)")
        assert (
            await worker.fetchval("select logs.drop_partitions($1)", (now - timedelta(days=30)).date()) == 0
        )
        left = await connection.fetch("select at from logs.request where account_id = $1", account_id)
        assert [row["at"] for row in left] == [now]
        counted = await connection.fetch(
            "select requests from logs.usage_daily where account_id = $1", account_id
        )
        assert [row["requests"] for row in counted] == [1, 1]
        names = {row[0] for row in await connection.fetch(PARTITIONS)}
        assert await worker.fetchval("select logs.drop_partitions($1)", day + timedelta(days=1)) >= 2
        gone = names - {row[0] for row in await connection.fetch(PARTITIONS)}
        assert f"request_{day:%Y%m%d}" in gone
        assert f"activity_{day:%Y%m%d}" in gone
    finally:
        await worker.close()
        await connection.close()


async def test_upkeep_drops_what_no_plan_keeps_and_nothing_younger(region: TestRegion) -> None:
    account_id, now = await region.new_account(), datetime.now(UTC)
    engine = region.databases.logger
    assert engine is not None
    old, kept = now - timedelta(days=368), now - timedelta(days=364)
    connection = await region.connect()
    try:
        for table in ("request", "activity"):
            await connection.execute(
                f"create table logs.{table}_{old:%Y%m%d} partition of logs.{table}"
                f" for values from ('{old:%Y-%m-%d} 00:00Z') to ('{old + timedelta(days=1):%Y-%m-%d} 00:00Z')"
            )
        older = old - timedelta(days=3)
        rows = [fact(account_id, at=at, ended_at=at) for at in (old, older, kept, now)]
        await store.write_requests(engine, rows)
        await Upkeep(region.databases.worker).once()
        left = await connection.fetch("select at from logs.request where account_id = $1", account_id)
        assert {row["at"] for row in left} == {kept, now}
        names = {row[0] for row in await connection.fetch(PARTITIONS)}
        assert not names & {f"request_{old:%Y%m%d}", f"activity_{old:%Y%m%d}"}
    finally:
        await connection.close()


@pytest.mark.slow
async def test_lists_read_few_pages_of_a_million_rows(region: TestRegion) -> None:
    account_id, now = await region.new_account(), datetime.now(UTC)
    key = uuid7()
    connection = await region.connect()
    try:
        await connection.execute(
            "insert into keys.api_key (id, account_id, public_id, hash, name, scopes) values ($1, $2, 'aaaaaaaaaaaa', 'x', 'n', '{}')",
            key,
            account_id,
        )
        await connection.execute("select logs.ensure_partitions(7)")
        await connection.execute(
            "insert into logs.request select uuidv7(), case when i % 10 = 0 then gen_random_uuid() else $1::uuid end,"
            " case when i % 1000 = 0 then $2::uuid end, $1, now() + i * interval '0.6 s', now(), 'rest', 'GET',"
            " '/v1/status', '', case when i % 5000 = 1 then 400 else 200 end, case when i % 5000 = 1 then 'BSE2001' end, 1, false,"
            " null, '', null from generate_series(1, 1000000) i",
            account_id,
            key,
        )
        await connection.execute(
            "insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at)"
            " select case when i % 10 = 0 then gen_random_uuid() else $1::uuid end, uuidv7(), 1, 'generation.accepted',"
            " now() + i * interval '0.6 s' from generate_series(1, 100000) i",
            account_id,
        )
        await connection.execute("analyze")
    finally:
        await connection.close()
    late = now + timedelta(days=3)
    wanted = {
        "first page": store.request_query(account_id, RequestFilter(), None, 501),
        "later page": store.request_query(account_id, RequestFilter(), Place(late, uuid7()), 501),
        "of a key": store.request_query(account_id, RequestFilter(key_id=key), None, 501),
        "of failures": store.request_query(account_id, RequestFilter(status_class=4), None, 101),
        "of a code": store.request_query(account_id, RequestFilter(bse_code="BSE2001"), None, 101),
        "of an hour": store.request_query(
            account_id, RequestFilter(begin=late, end=late + timedelta(hours=1)), None, 501
        ),
        "activity": store.activity_query(account_id, ActivityFilter(), None, 201),
        "later activity": store.activity_query(account_id, ActivityFilter(), Place(late, uuid7()), 201),
    }
    async with tenant_transaction(region.databases.app, account_id) as reading:
        for name, (statement, values) in wanted.items():
            explain = text("explain (analyze, buffers, format text) " + statement)
            plan = "\n".join(row[0] for row in await reading.execute(explain, values))
            blocks = _blocks(plan)
            print(f"{name}: {blocks} blocks, {plan.splitlines()[-1]}")
            assert not re.search(r"Seq Scan on (request|event)_\d", plan), f"{name}\n{plan}"
            assert blocks < 4000, f"{name}\n{plan}"


def _blocks(plan: str) -> int:
    """Blocks that the top node of a plan touched."""
    line = next(line for line in plan.splitlines() if "Buffers:" in line)
    return sum(int(part.split("=")[1]) for part in line.split() if part.startswith(("hit=", "read=")))
