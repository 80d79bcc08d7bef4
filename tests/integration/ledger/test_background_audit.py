"""Rounds over what changed: what they find, what they remember, and who hears of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.ledger import upkeep_store
from server.ledger.auditing import GAUGE, HEALTH_NAME, Auditor, AuditWatch, audit_round
from server.runtime.lifecycle import serve
from tests.integration.admission.calling import admitted, connected
from tests.integration.ledger.test_audit import TAMPERING
from tests.integration.ledger.verbs import capture, money, release, reserve
from tests.support.region import TestRegion, settings_for

SEEN_BY_A_ROUND = sorted(
    set(TAMPERING)
    - {
        # Nothing of the account moved: rows that were found clean before are the full audit's affair.
        "amount edited",
        "time edited",
        "time set back",
        "hash edited",
        "key edited",
        "counterpart edited",
        "sum edited",
        "row deleted from the middle",
        "last row deleted",
        "whole journal deleted",
        "row moved to another account",
        "hold doubled",
        "hold deleted",
        "hold released by hand",
        "release turned into capture",
        "captured amount edited",
        "hold amount edited",
        "hold reopened",
        "hold given to another account",
        "holds miscounted",
        "generation without a hold",
    }
)


@pytest.fixture
async def lived(region: TestRegion) -> UUID:
    """An account with every kind of row."""
    account = await region.new_account(credit=1_000)
    captured, released, open_ = (uuid4() for _ in range(3))
    for hold in (captured, released, open_):
        assert await reserve(region, account, hold, 50) == "held"
    assert await capture(region, captured, 20) == "captured"
    assert await release(region, released) == "released"
    return account


@pytest.fixture
async def mended(
    region: TestRegion, superuser: asyncpg.Connection, lived: UUID
) -> AsyncIterator[asyncpg.Connection]:
    """A connection for whoever tampers; the ledger is as before afterwards."""
    tables = ("ledger.account", "ledger.hold", "ledger.transfer", "generation.generation")
    for table in tables:
        await superuser.execute(f"create temporary table kept_{table.split('.')[1]} as table {table}")
    await superuser.execute("set session_replication_role = replica")
    yield superuser
    for table in reversed(tables):
        await superuser.execute(f"delete from {table}")
    for table in tables:
        await superuser.execute(f"insert into {table} table kept_{table.split('.')[1]}")
    await superuser.execute("set session_replication_role = origin")
    assert await region.audit() == []


async def test_a_round_looks_at_what_changed_and_at_nothing_else(region: TestRegion, lived: UUID) -> None:
    engine = region.databases.worker
    first = await audit_round(engine)
    assert first is not None
    assert first.findings == ()
    assert first.entries >= 6
    idle = await audit_round(engine)
    assert idle is not None
    assert (idle.findings, idle.accounts, idle.entries) == ((), 0, 0)
    assert await reserve(region, lived, uuid4(), 1) == "held"
    assert await reserve(region, lived, uuid4(), 1) == "held"
    again = await audit_round(engine)
    assert again is not None
    assert (again.findings, again.accounts, again.entries) == ((), 1, 2)


async def test_many_accounts_are_audited_in_small_batches(region: TestRegion) -> None:
    for _ in range(7):
        await region.new_account(credit=5)
    done = await audit_round(region.databases.worker, size=3)
    assert done is not None
    assert done.findings == ()
    assert done.accounts >= 7


@pytest.mark.parametrize("marked", [False, True], ids=["never audited", "audited before"])
@pytest.mark.parametrize("deed", sorted(set(TAMPERING) - {"generation without a hold"}))
async def test_a_round_finds_in_a_changed_account(
    region: TestRegion, mended: asyncpg.Connection, lived: UUID, deed: str, marked: bool
) -> None:
    statement, invariants = TAMPERING[deed]
    engine = region.databases.worker
    if marked:
        assert await audit_round(engine) is not None
    assert (await mended.execute(statement, lived)).split()[-1] != "0"
    done = await audit_round(engine)
    assert done is not None
    found = {invariant for invariant, _ in done.findings}
    if not marked:
        assert found & invariants or deed == "account deleted", found
    elif deed in SEEN_BY_A_ROUND:
        assert found & invariants, found
    # The full audit, on request, trusts no mark.
    full = {invariant for invariant, _ in await region.audit()}
    assert invariants <= full
    if found:
        # What is wrong stays found, round after round.
        repeated = await audit_round(engine)
        assert repeated is not None
        assert repeated.findings == done.findings


async def test_a_journal_rewritten_behind_its_mark_is_found_though_it_is_whole_in_itself(
    region: TestRegion, mended: asyncpg.Connection, lived: UUID
) -> None:
    engine = region.databases.worker
    assert await audit_round(engine) is not None
    # The last row goes, and the account is made to fit: only the mark knows better.
    await mended.execute(
        "delete from ledger.transfer where account_id = $1 and version = (select max(version) from ledger.transfer where account_id = $1)",
        lived,
    )
    await mended.execute(
        "update ledger.account a set version = t.version, posted = t.posted_after, held = t.held_after, head = t.hash from ledger.transfer t"
        " where a.id = $1 and t.account_id = a.id and t.version = (select max(version) from ledger.transfer where account_id = $1)",
        lived,
    )
    done = await audit_round(engine)
    assert done is not None
    assert "mark_vs_chain" in {invariant for invariant, _ in done.findings}


async def test_an_open_generation_without_a_job_is_found(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    async with connected(region, "babysea_admitter", 1) as (admitter,):
        _, (id_,) = await admitted(region, admitter)
    kept = await superuser.fetchrow("delete from runtime.job where id = $1 returning id, run_after", id_)
    assert kept is not None
    done = await audit_round(region.databases.worker)
    assert done is not None
    assert ("open_generation_without_job", str(id_)) in done.findings
    await superuser.execute("insert into runtime.job (id, run_after) values ($1, $2)", *kept)
    healed = await audit_round(region.databases.worker)
    assert healed is not None
    assert healed.findings == ()


async def test_of_several_workers_one_makes_the_round(region: TestRegion, lived: UUID) -> None:
    engine, hour = region.databases.worker, timedelta(hours=1)
    assert await audit_round(engine) is not None
    assert await reserve(region, lived, uuid4(), 1) == "held"
    assert [await audit_round(engine, hour) for _ in range(3)] == [None] * 3
    rounds = await asyncio.gather(*(audit_round(engine) for _ in range(4)), return_exceptions=True)
    # Two that meet at the same row are told so by the database; neither does harm.
    assert any(done is not None and not isinstance(done, BaseException) for done in rounds)
    assert await audit_round(engine) is not None


async def test_rounds_beside_moving_money_never_cry_wolf(region: TestRegion) -> None:
    accounts = [await region.new_account(credit=10_000) for _ in range(4)]
    moving = True

    async def move(account: UUID) -> None:
        while moving:
            hold = uuid4()
            assert await reserve(region, account, hold, 5) == "held"
            assert await capture(region, hold, 2) == "captured"

    movers = [asyncio.create_task(move(account)) for account in accounts]
    rounds = [await audit_round(region.databases.worker) for _ in range(40)]
    moving = False
    await asyncio.gather(*movers)
    assert [done.findings for done in rounds if done is not None] == [()] * 40
    assert sum(done.entries for done in rounds if done is not None) > 0
    assert [(await money(region, account))[1] for account in accounts] == [0] * 4


async def test_findings_reach_the_log_the_gauge_and_the_health_of_every_server(
    region: TestRegion, mended: asyncpg.Connection, lived: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    auditor = Auditor(region.databases.worker, 0.0)
    await auditor.once()
    assert auditor.findings == 0
    settings = settings_for(region.database, grpc_listen="127.0.0.1:0")
    async with serve(settings) as server, grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = AuditWatch(region.databases.worker, server.health.servicer, server.metrics.gauge, 300.0)

        async def said(name: str) -> int:
            await watch.once()
            return int((await stub.Check(health_pb2.HealthCheckRequest(service=name))).status)

        assert await said(HEALTH_NAME) == health_pb2.HealthCheckResponse.SERVING
        assert server.metrics.snapshot().gauges[GAUGE] == 0
        await mended.execute("update ledger.account set posted = posted + 1 where id = $1", lived)
        with caplog.at_level(logging.ERROR, "babysea.ledger.audit"):
            await auditor.once()
        assert auditor.findings == 1
        facts = [
            record.__dict__["facts"] for record in caplog.records if record.name == "babysea.ledger.audit"
        ]
        assert facts == [{"invariant": "account_vs_chain", "subject": str(lived)}]
        assert await said(HEALTH_NAME) == health_pb2.HealthCheckResponse.NOT_SERVING
        assert server.metrics.snapshot().gauges[GAUGE] == 1
        # One account's books are wrong; everyone else's money goes on.
        assert await said("babysea.ledger.v1.LedgerService") == health_pb2.HealthCheckResponse.SERVING
        await mended.execute("update ledger.account set posted = posted - 1 where id = $1", lived)
        await auditor.once()
        assert await said(HEALTH_NAME) == health_pb2.HealthCheckResponse.SERVING
        # Nobody audits any more: what was found long ago says nothing about now.
        await mended.execute("update ledger.audit_state set finished_at = now() - interval '16 minutes'")
        assert await said(HEALTH_NAME) == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def test_before_the_first_round_nothing_is_claimed(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    kept = await superuser.fetchrow("delete from ledger.audit_state returning findings, accounts, entries")
    assert await upkeep_store.audit_state(region.databases.worker) is None
    if kept is not None:
        await superuser.execute("select ledger.audit_end($1, $2, $3)", *kept)


async def test_a_round_outside_repeatable_read_is_refused(superuser: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.RaiseError, match="repeatable read"):
        await superuser.fetch("select * from ledger.audit_changed(5, '{}')")
