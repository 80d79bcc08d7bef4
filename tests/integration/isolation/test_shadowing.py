"""Definer functions are not fooled by what their caller makes or sets: temporary things named like ours, and settings."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from kit.ids import uuid7
from tests.integration.isolation.tenants import ROLES, Tenant, new_tenant
from tests.support.region import TestRegion

SHADOWS = (
    # Tables, those of common table expressions and transition tables included.
    *(
        f"create temp table {name} (id uuid, account_id uuid, state text, posted bigint, held bigint, version bigint)"
        for name in (
            "account",
            "hold",
            "transfer",
            "generation",
            "claim",
            "api_key",
            "job",
            "event",
            "outbox",
            "house",
            "worker",
            "output",
            "attempt",
            "fresh",
            "l",
            "a",
            "i",
            "due",
            "n",
            "u",
            "x",
            "r",
        )
    ),
    # Functions and operators, found first by whoever resolves names in pg_temp.
    "create function pg_temp.sha256(bytea) returns bytea language sql as $$ select '\\x00'::bytea $$",
    (
        'create function pg_temp.row_bytes(uuid, bigint, "char", uuid, uuid, bigint, bigint, bigint, bigint, bigint, uuid, text,'
        " timestamptz) returns bytea language sql as $$ select '\\x00'::bytea $$"
    ),
    "create function pg_temp.clock_timestamp() returns timestamptz language sql as $$ select 'epoch'::timestamptz $$",
    "create function pg_temp.cardinality(anyarray) returns int language sql as $$ select 0 $$",
    "create function pg_temp.less(bigint, bigint) returns boolean language sql as $$ select true $$",
    "create operator pg_temp.< (leftarg = bigint, rightarg = bigint, function = pg_temp.less)",
    "create operator pg_temp.<> (leftarg = bigint, rightarg = bigint, function = pg_temp.less)",
    # Types.
    "create domain pg_temp.hold_state as text",
    "create domain pg_temp.uuid as text",
    "create domain pg_temp.bigint_ as text",
)
SETTINGS = (
    "set search_path = pg_temp, pg_catalog",
    "set transform_null_equals = on",
    "set array_nulls = off",
    "set datestyle = 'SQL, DMY'",
    "set intervalstyle = 'iso_8601'",
    "set timezone = 'Asia/Tokyo'",
    "set bytea_output = 'escape'",
    "set extra_float_digits = -15",
    "set default_transaction_isolation = 'serializable'",
    "set enable_indexscan = off",
    "set plan_cache_mode = force_custom_plan",
    "set quote_all_identifiers = on",
    "set client_encoding = 'LATIN1'",
)
ADMIT = (
    "select word from generation.admit_many(array[$1::pg_catalog.uuid], array[$2::pg_catalog.uuid], array[$3::pg_catalog.uuid], array[pg_catalog.uuid_send($2::pg_catalog.uuid)],"
    " array['\\x02'::bytea], array[$4::bigint], '{c}', array[now() + interval '5 minutes'], '{enterprise}', '{m}', '{image}', '{p}',"
    " array[$2::pg_catalog.uuid], array['\\x03'::bytea], '{t}')"
)


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_can_make_a_temporary_table_or_any_other_thing(region: TestRegion, role: str) -> None:
    connection = await region.connect(role)
    try:
        for statement in (
            "create temp table account (id uuid)",
            "create temp view account as select 1",
            "select 1 as id into temp account",
            "create function pg_temp.f() returns int language sql as $$ select 1 $$",
            "create table public.account (id uuid)",
            "create table generation.mine (id uuid)",
            "create schema mine",
            "copy (select 1) to program 'true'",
            "copy (select 1) to '/dev/null'",
            "select pg_read_file('postgresql.auto.conf')",
            "select * from pg_authid",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def tenant(region: TestRegion) -> AsyncIterator[Tenant]:
    """A tenant, in a database where somebody was so careless as to allow temporary things."""
    admin = await region.connect()
    database = region.database.name
    await admin.execute(f"grant temporary on database {database} to {', '.join(ROLES)}")
    try:
        yield await new_tenant(region)
    finally:
        await admin.execute(f"revoke temporary on database {database} from {', '.join(ROLES)}")
        await admin.close()


async def test_the_admitters_temporary_things_change_no_decision_and_catch_no_row(
    region: TestRegion, tenant: Tenant
) -> None:
    admitter = await region.connect("babysea_admitter")
    try:
        for statement in (*SHADOWS, *SETTINGS):
            await admitter.execute(statement)
        # A table of the attacker's that promises endless money.
        await admitter.execute(
            "insert into pg_temp.account values ($1, $1, '', 1000000000, 0, 7)", tenant.account_id
        )
        identity = (tenant.account_id, uuid7(), tenant.key_id)
        assert await admitter.fetchval(ADMIT, *identity, 5_000_000) == "insufficient"
        assert await admitter.fetchval(ADMIT, *identity, 1_000) == "held"
        assert await admitter.fetchval(ADMIT, *identity, 1_000) == "already_held"
        cancel = (
            "select word from generation.cancel_many(array[$1::pg_catalog.uuid], array[$2::pg_catalog.uuid])"
        )
        assert await admitter.fetchval(cancel, tenant.account_id, identity[1]) == "canceled"
        for table in ("hold", "transfer", "generation", "claim", "job", "event", "outbox"):
            assert await admitter.fetchval(f"select count(*) from pg_temp.{table}") == 0
        assert await region.audit() == []
    finally:
        await admitter.close()


async def test_a_workers_temporary_things_move_no_money_and_hide_no_violation(
    region: TestRegion, tenant: Tenant
) -> None:
    worker = await region.connect("babysea_worker")
    try:
        for statement in (*SHADOWS, *SETTINGS):
            await worker.execute(statement)
        grant = "select ledger.grant_credit($1::pg_catalog.uuid, $2, $3)"
        assert await worker.fetchval(grant, tenant.account_id, 7, "again") == "granted"
        assert await worker.fetchval(grant, tenant.account_id, 7, "again") == "already_granted"
        reserve = "select ledger.reserve($1::pg_catalog.uuid, $2::pg_catalog.uuid, $3, now(), '\\x01')"
        assert await worker.fetchval(reserve, tenant.account_id, uuid7(), 10**9) == "insufficient"
        hold = uuid7()
        assert await worker.fetchval(reserve, tenant.account_id, hold, 10) == "held"
        settle = "select word from ledger.settle_many(array[$1::pg_catalog.uuid], array[$2::bigint])"
        assert await worker.fetchval(settle, hold, 11) == "bad_amount"
        assert await worker.fetchval(settle, hold, 10) == "captured"
        assert await worker.fetch("select * from ledger.audit()") == []
        assert await worker.fetchval("select events.ensure_partitions(3)") >= 0
        # The audit still sees what is wrong, through all of the attacker's names.
        admin = await region.connect()
        await admin.execute("update ledger.account set posted = posted + 1 where id = $1", tenant.account_id)
        found = {row["invariant"] for row in await worker.fetch("select * from ledger.audit()")}
        await admin.execute("update ledger.account set posted = posted - 1 where id = $1", tenant.account_id)
        await admin.close()
        assert "account_vs_chain" in found
        assert await region.audit() == []
    finally:
        await worker.close()


async def test_no_setting_of_a_caller_writes_a_journal_that_the_audit_refuses(
    region: TestRegion, tenant: Tenant
) -> None:
    """Every parser and plan setting that a role may change, one at a time: right words, or an error, and a clean audit."""
    switches = await _switches(region)
    assert len(switches) > 30
    stubborn = set()
    for name, other in switches.items():
        # A session of its own, so that every plan is made under the setting.
        admitter, worker = await region.connect("babysea_admitter"), await region.connect("babysea_worker")
        try:
            for each in (admitter, worker):
                await each.execute(f"set {name} = {other}")
            try:
                words = [
                    await admitter.fetchval(ADMIT, tenant.account_id, uuid7(), tenant.key_id, 1),
                    await worker.fetchval("select ledger.grant_credit($1, 1, $2)", tenant.account_id, name),
                ]
            except asyncpg.PostgresError:
                stubborn.add(name)
            else:
                assert words == ["held", "granted"], name
        finally:
            await admitter.close()
            await worker.close()
    # Refusing to work is the caller's own loss.
    assert stubborn <= {"row_security", "standard_conforming_strings"}
    assert await region.audit() == []


async def _switches(region: TestRegion) -> dict[str, str]:
    """Every switch that a role may turn, and the way that it is not turned."""
    connection = await region.connect("babysea_admitter")
    try:
        rows = await connection.fetch(
            "select name, setting from pg_settings where context = 'user' and vartype = 'bool' and name !~ 'read_only$'"
        )
        return {row["name"]: "off" if row["setting"] == "on" else "on" for row in rows}
    finally:
        await connection.close()
