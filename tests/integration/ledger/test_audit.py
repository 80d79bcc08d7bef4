"""What the audit finds when somebody with every right has been at the tables, and that nobody else can be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.ledger.verbs import capture, release, reserve
from tests.support.chain import broken_chains
from tests.support.region import TestRegion

MARKED = "(select id from ledger.hold where account_id = $1 and state = 'held' limit 1)"
TAMPERING: dict[str, tuple[str, set[str]]] = {
    "money added": ("update ledger.account set posted = posted + 1 where id = $1", {"account_vs_chain"}),
    "money unheld": (
        "update ledger.account set held = held - 1 where id = $1",
        {"account_vs_chain", "held_vs_holds"},
    ),
    "holds miscounted": ("update ledger.account set open_holds = 7 where id = $1", {"held_vs_holds"}),
    "version moved": ("update ledger.account set version = version + 1 where id = $1", {"account_vs_chain"}),
    "head changed": ("update ledger.account set head = sha256('x') where id = $1", {"account_vs_chain"}),
    "account deleted": ("delete from ledger.account where id = $1", {"chain_without_account"}),
    "amount edited": (
        "update ledger.transfer set amount = amount + 1 where account_id = $1 and version = 1",
        {"chain_hash"},
    ),
    "time edited": (
        "update ledger.transfer set created_at = created_at + interval '1 microsecond' where account_id = $1 and version = 4",
        {"chain_hash"},
    ),
    "time set back": (
        "update ledger.transfer set created_at = created_at - interval '1 hour' where account_id = $1 and version = 3",
        {"chain_hash", "chain_time"},
    ),
    "hash edited": (
        "update ledger.transfer set hash = sha256('x') where account_id = $1 and version = 2",
        {"chain_hash"},
    ),
    "key edited": (
        "update ledger.transfer set idem_key = 'other' where account_id = $1 and version = 1",
        {"chain_hash"},
    ),
    "counterpart edited": (
        "update ledger.transfer set debit_id = '00000000-0000-0000-0000-000000000002' where account_id = $1 and version = 1",
        {"chain_hash"},
    ),
    "sum edited": (
        "update ledger.transfer set posted_after = posted_after + 1 where account_id = $1 and version = 2",
        {"chain_gap", "chain_hash"},
    ),
    "row deleted from the middle": (
        "delete from ledger.transfer where account_id = $1 and version = 3",
        {"chain_gap", "chain_hash"},
    ),
    "last row deleted": (
        "delete from ledger.transfer where account_id = $1 and version = (select max(version) from ledger.transfer where account_id = $1)",
        {"account_vs_chain"},
    ),
    "whole journal deleted": (
        "delete from ledger.transfer where account_id = $1",
        {"account_vs_chain", "hold_vs_journal"},
    ),
    "row moved to another account": (
        "update ledger.transfer set account_id = gen_random_uuid() where account_id = $1 and version = 6",
        {"chain_without_account", "account_vs_chain"},
    ),
    "hold doubled": (
        "insert into ledger.hold (id, account_id, amount, fingerprint, expires_at, created_at)"
        " select gen_random_uuid(), account_id, amount, fingerprint, expires_at, created_at from ledger.hold where account_id = $1",
        {"held_vs_holds", "hold_vs_journal"},
    ),
    "hold deleted": (
        f"delete from ledger.hold where id = {MARKED}",
        {"journal_without_hold", "held_vs_holds"},
    ),
    "hold released by hand": (
        f"update ledger.hold set state = 'released', settled_at = now() where id = {MARKED}",
        {"held_vs_holds", "hold_vs_journal"},
    ),
    "release turned into capture": (
        "update ledger.hold set state = 'captured', captured = 1 where account_id = $1 and state = 'released'",
        {"hold_vs_journal"},
    ),
    "captured amount edited": (
        "update ledger.hold set captured = captured - 1 where account_id = $1 and state = 'captured'",
        {"hold_vs_journal"},
    ),
    "hold amount edited": (
        f"update ledger.hold set amount = amount + 1 where id = {MARKED}",
        {"held_vs_holds", "hold_vs_journal"},
    ),
    "hold reopened": (
        "update ledger.hold set state = 'held', settled_at = null where account_id = $1 and state = 'released'",
        {"held_vs_holds", "hold_vs_journal"},
    ),
    "hold given to another account": (
        f"update ledger.hold set account_id = gen_random_uuid() where id = {MARKED}",
        {"held_vs_holds", "hold_vs_journal"},
    ),
    "generation without a hold": (
        "insert into generation.generation (id, account_id, model, media, provider_order, prediction_id, price, rate_card, plan,"
        " request_ct, created_at, deadline_at) values (gen_random_uuid(), $1, 'm', 'image', '{}', gen_random_uuid(), 5, 'c', 'pro', 'x', now(), now())",
        {"generation_vs_hold"},
    ),
}


@pytest.fixture
async def lived(region: TestRegion) -> AsyncIterator[UUID]:
    """An account whose journal has every kind of row: a grant, holds, a capture, a release, and a hold left open."""
    account = await region.new_account(credit=1_000)
    captured, released, open_ = (uuid4() for _ in range(3))
    for hold in (captured, released, open_):
        assert await reserve(region, account, hold, 50) == "held"
    assert await capture(region, captured, 20) == "captured"
    assert await release(region, released) == "released"
    yield account
    assert await region.audit() == []


@pytest.mark.parametrize("deed", TAMPERING)
async def test_the_audit_finds(
    region: TestRegion, superuser: asyncpg.Connection, lived: UUID, deed: str
) -> None:
    statement, invariants = TAMPERING[deed]
    transaction = superuser.transaction()
    await transaction.start()
    await superuser.execute("alter table ledger.transfer disable trigger all")
    assert (await superuser.execute(statement, lived)).split()[-1] != "0"
    findings = await superuser.fetch("select invariant, subject from ledger.audit()")
    assert invariants <= {row["invariant"] for row in findings}
    await transaction.rollback()


@pytest.mark.parametrize(
    "deed",
    [
        "money added",
        "head changed",
        "amount edited",
        "time edited",
        "key edited",
        "hash edited",
        "last row deleted",
    ],
)
async def test_the_recomputation_outside_the_database_finds(
    superuser: asyncpg.Connection, lived: UUID, deed: str
) -> None:
    assert await broken_chains(superuser) == []
    transaction = superuser.transaction()
    await transaction.start()
    await superuser.execute("alter table ledger.transfer disable trigger all")
    await superuser.execute(TAMPERING[deed][0], lived)
    assert any(str(lived) in finding for finding in await broken_chains(superuser))
    await transaction.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "update ledger.transfer set amount = amount + 1",
        "update ledger.transfer set hash = hash",
        "delete from ledger.transfer",
        "truncate ledger.transfer",
    ],
)
async def test_the_journal_is_append_only_even_for_a_superuser(
    superuser: asyncpg.Connection, lived: UUID, statement: str
) -> None:
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await superuser.execute(statement)


@pytest.mark.parametrize("role", ["babysea_app", "babysea_admitter", "babysea_worker"])
@pytest.mark.parametrize("table", ["account", "hold", "transfer", "house"])
async def test_no_role_of_ours_writes_money_but_through_the_functions(
    region: TestRegion, lived: UUID, role: str, table: str
) -> None:
    connection = await region.connect(role)
    try:
        for statement in (
            f"delete from ledger.{table}",
            f"insert into ledger.{table} select * from ledger.{table}",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("create temporary table account (id uuid)")
    finally:
        await connection.close()


async def test_a_tenant_sees_no_money_but_its_own(region: TestRegion, lived: UUID) -> None:
    stranger = await region.new_account(credit=5)
    connection = await region.connect("babysea_app")
    try:
        for table, column in (("account", "id"), ("hold", "account_id"), ("transfer", "account_id")):
            query = f"select distinct {column} from ledger.{table}"
            assert await connection.fetch(query) == []
            async with connection.transaction():
                await connection.execute("select set_config('app.account_id', $1, true)", str(lived))
                assert [row[0] for row in await connection.fetch(query)] == [lived]
                assert await connection.fetch(f"{query} where {column} = $1", stranger) == []
            assert await connection.fetch(query) == []
    finally:
        await connection.close()


async def test_open_holds_are_found_by_their_own_index_however_many_are_settled(
    superuser: asyncpg.Connection, lived: UUID
) -> None:
    transaction = superuser.transaction()
    await transaction.start()
    await superuser.execute(
        "insert into ledger.hold (id, account_id, amount, captured, state, fingerprint, expires_at, created_at, settled_at)"
        " select gen_random_uuid(), $1, 5, 5, 'captured', 'f', now() - interval '1 day', now(), now() from generate_series(1, 20000)",
        lived,
    )
    await superuser.execute("analyze ledger.hold")
    rows = await superuser.fetch(
        "explain select id from ledger.hold where state = 'held' and expires_at <= now() order by expires_at limit 100"
    )
    plan = "\n".join(row[0] for row in rows)
    assert "hold_open" in plan
    assert "Seq Scan" not in plan
    await transaction.rollback()


async def test_debits_and_credits_of_every_row_name_two_different_parties(
    superuser: asyncpg.Connection, lived: UUID
) -> None:
    rows = await superuser.fetch(
        "select kind, debit_id, credit_id from ledger.transfer where account_id = $1 order by version", lived
    )
    funding, revenue, held = (UUID(int=number) for number in (1, 3, 4))
    assert [tuple(row) for row in rows] == [
        (b"g", funding, lived),
        *[(b"h", lived, held)] * 3,
        (b"c", held, revenue),
        (b"r", held, lived),
    ]
