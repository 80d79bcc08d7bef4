"""Row-level security: a tenant sees its own rows, and whoever named no tenant sees none."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text

from kit.ids import uuid7
from server.runtime.database import tenant_transaction
from tests.integration.isolation.tenants import SCHEMAS, Table, Tenant, new_tenant, tables_of
from tests.support.region import TestRegion, open_region

OPEN_TO_TENANTS = {
    "accounts.account",
    "accounts.membership",
    "accounts.invitation",
    "accounts.alert_threshold",
    "accounts.alert_channels",
    "keys.api_key",
    "ledger.account",
    "ledger.hold",
    "ledger.transfer",
    "generation.claim",
    "generation.generation",
    "generation.attempt",
    "generation.output",
    "events.event",
    "events.outbox",
    "logs.request",
    "logs.usage_daily",
    "logs.key_daily",
    "logs.activity",
}
"""Tables whose policies show a tenant its rows, whatever is granted; every other table shows it nothing."""

OPEN_TO_PEOPLE = {
    "accounts.person": "id",
    "accounts.session": "person_id",
    "accounts.membership": "person_id",
    "accounts.token": "person_id",
    "accounts.recovery_code": "person_id",
    "accounts.linked_identity": "person_id",
    "notifications.inbox": "person_id",
    "notifications.preference": "person_id",
    "privacy.consent": "person_id",
}
"""Tables whose policies show a person the own rows, and the column that says whose they are."""

_TENANT = "NULLIF(current_setting('app.account_id'::text, true), ''::text))::uuid"
_PERSON = "NULLIF(current_setting('app.person_id'::text, true), ''::text))::uuid"
POLICIES = {
    "definer": "babysea_owner",
    "worker": "babysea_worker",
    "tenant": "babysea_app",
    "self": "babysea_app",
    "person": "babysea_app",
    "team": "babysea_app",
    "mine": "babysea_app",
}
"""The kinds of policies, and whom each is for."""


async def test_every_table_has_forced_row_level_security(region: TestRegion) -> None:
    connection = await region.connect()
    worker = await region.connect("babysea_worker")
    try:
        assert await worker.fetchval("select events.ensure_partitions(1)") >= 0
        assert await worker.fetchval("select logs.ensure_partitions(1)") >= 0
        rows = await connection.fetch(
            "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = any ($1) and c.relkind in ('r', 'p', 'v', 'm', 'f')"
            " and not (c.relrowsecurity and c.relforcerowsecurity)",
            list(SCHEMAS),
        )
        assert [row[0] for row in rows] == []
        schemas = await connection.fetch(
            "select nspname from pg_namespace where nspname !~ '^pg_' and nspname not in ('information_schema', 'public')"
        )
        assert {row[0] for row in schemas} == set(SCHEMAS)
        # A policy for everyone, or one that lets a caller name another's rows, would open what the flags close.
        policies = await connection.fetch(
            "select schemaname || '.' || tablename as name, policyname, roles::text[] as roles, qual, with_check from pg_policies"
        )
        for row in policies:
            kind, own = row["policyname"], row["name"]
            assert row["roles"] == [POLICIES[kind]], (own, kind)
            if kind in {"tenant", "team"}:
                assert _TENANT in row["qual"], own
            if kind in {"self", "person", "mine"}:
                assert _PERSON in row["qual"], own
            if POLICIES[kind] == "babysea_app":
                # What may be written is what may be seen, or less.
                written = row["with_check"] or row["qual"]
                assert row["qual"].strip("()") in written, own
                assert " OR " not in written, own
        by_kind = {kind: {row["name"] for row in policies if row["policyname"] == kind} for kind in POLICIES}
        assert by_kind["tenant"] == OPEN_TO_TENANTS
        assert by_kind["self"] | by_kind["person"] == set(OPEN_TO_PEOPLE)
        assert (by_kind["team"], by_kind["mine"]) == ({"accounts.person"}, {"accounts.account"})
        # Flags without a policy close a table to everybody, and to the functions that serve it, which somebody would open.
        tables = {
            row[0]
            for row in await connection.fetch(
                "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                " where n.nspname = any ($1) and c.relkind in ('r', 'p') and not c.relispartition",
                list(SCHEMAS),
            )
        }
        assert tables - by_kind["definer"] == set()
    finally:
        await connection.close()
        await worker.close()


async def test_a_tenant_sees_its_rows_in_every_table_and_nobody_sees_any(region: TestRegion) -> None:
    mine, other = await new_tenant(region), await new_tenant(region)
    connection = await region.connect()
    everything = connection.transaction()
    await everything.start()
    try:
        tables = await tables_of(connection)
        assert {table.name for table in tables} >= OPEN_TO_TENANTS
        # Even with every grant, the policies hold: a grant too many must not open a table.
        for schema in SCHEMAS:
            await connection.execute(f"grant usage on schema {schema} to babysea_app")
            await connection.execute(f"grant select on all tables in schema {schema} to babysea_app")
        for name in OPEN_TO_TENANTS:
            table = next(table for table in tables if table.name == name)
            assert {mine.account_id, other.account_id} <= await _tenants_in(connection, table, None), name
        for setting in (None, "", str(uuid7())):
            for table in tables:
                assert await _tenants_in(connection, table, setting, as_app=True) == set(), (
                    table.name,
                    setting,
                )
        for tenant in (mine, other):
            for table in tables:
                if table.name == "accounts.person":
                    continue  # It has no tenant; the next test looks at it.
                seen = await _tenants_in(connection, table, str(tenant.account_id), as_app=True)
                assert seen == ({tenant.account_id} if table.name in OPEN_TO_TENANTS else set()), table.name
    finally:
        await everything.rollback()
        await connection.close()


async def test_a_person_sees_the_own_rows_and_a_team_sees_its_members(region: TestRegion) -> None:
    mine, other = await new_tenant(region), await new_tenant(region)
    connection = await region.connect()
    everything = connection.transaction()
    await everything.start()
    try:
        for schema in SCHEMAS:
            await connection.execute(f"grant usage on schema {schema} to babysea_app")
            await connection.execute(f"grant select on all tables in schema {schema} to babysea_app")
        for tenant in (mine, other):
            for setting, value in (("person_id", tenant.owner.id), ("account_id", tenant.account_id)):
                await connection.execute("set local role babysea_app")
                await connection.execute(
                    "select set_config('app.account_id', '', true), set_config('app.person_id', '', true)"
                )
                await connection.execute(f"select set_config('app.{setting}', $1, true)", str(value))
                for name, column in OPEN_TO_PEOPLE.items():
                    rows = await connection.fetch(f"select distinct {column} as person from {name}")
                    assert {row["person"] for row in rows} <= {tenant.owner.id}, (name, setting)
                people = await connection.fetch("select id from accounts.person")
                assert [row["id"] for row in people] == [tenant.owner.id]
                accounts = await connection.fetch("select id from accounts.account")
                assert [row["id"] for row in accounts] == [tenant.account_id]
                await connection.execute("reset role")
    finally:
        await everything.rollback()
        await connection.close()


async def test_a_tenant_setting_that_is_no_id_is_an_error_and_shows_nothing(region: TestRegion) -> None:
    tenant = await new_tenant(region)
    app = await region.connect("babysea_app")
    try:
        for lie in ("x", "' or true --", f"{tenant.account_id}' or '1'='1"):
            async with app.transaction():
                await app.execute("select set_config('app.account_id', $1, true)", lie)
                with pytest.raises(asyncpg.InvalidTextRepresentationError):
                    async with app.transaction():
                        await app.fetch("select * from generation.generation")
    finally:
        await app.close()


async def test_a_tenant_changes_and_writes_no_row_of_another(region: TestRegion) -> None:
    mine, other = await new_tenant(region), await new_tenant(region)
    app = await region.connect("babysea_app")
    try:
        await app.execute("select set_config('app.account_id', $1, false)", str(mine.account_id))
        assert (
            await app.execute("update keys.api_key set revoked_at = now() where id = $1", other.key_id)
            == "UPDATE 0"
        )
        assert (
            await app.execute("update accounts.account set plan = 'free' where id = $1", other.account_id)
            == "UPDATE 0"
        )
        for statement in (
            "insert into keys.api_key (id, account_id, public_id, hash, name, scopes) values (gen_random_uuid(), $1, 'p', 'h', 'n', '{}')",
            "update keys.api_key set account_id = $1",
            "update accounts.account set id = $1",
            "insert into accounts.account (id, plan, name_ct) values ($1, 'free', '')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(statement, other.account_id)
    finally:
        await app.close()


async def test_row_level_security_cannot_be_switched_off_by_the_caller(region: TestRegion) -> None:
    await new_tenant(region)
    app = await region.connect("babysea_app")
    try:
        await app.execute("set row_security = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await app.fetch("select * from generation.generation")
        for forbidden in (
            "set session_replication_role = replica",
            "set role babysea_owner",
            "set role babysea_worker",
            "set session authorization babysea_owner",
            "alter table generation.generation disable row level security",
            "create policy open on generation.generation using (true)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(forbidden)
    finally:
        await app.close()


async def test_a_pooled_connection_forgets_its_tenant_however_the_transaction_ended(
    region: TestRegion,
) -> None:
    tenant = await new_tenant(region)
    pooled = open_region(region.database, database_pool_size=1)
    app = pooled.databases.app
    try:
        backends = set()
        for ending in ("commit", "error", "cancel"):
            backends.add(await _as_tenant(pooled, tenant, ending))
            async with app.begin() as connection:
                backends.add(await connection.scalar(text("select pg_backend_pid()")))
                for table in ("accounts.account", "keys.api_key", "ledger.transfer", "generation.generation"):
                    assert await connection.scalar(text(f"select count(*) from {table}")) == 0, (
                        ending,
                        table,
                    )
        # It was one and the same connection all the time.
        assert len(backends) == 1
    finally:
        await pooled.close()


async def _as_tenant(pooled: TestRegion, tenant: Tenant, ending: str) -> int:
    backend = 0
    try:
        async with tenant_transaction(pooled.databases.app, tenant.account_id) as connection:
            assert await connection.scalar(text("select count(*) from generation.generation")) == 2
            backend = int(await connection.scalar(text("select pg_backend_pid()")) or 0)
            if ending == "error":
                raise RuntimeError
            if ending == "cancel":
                raise asyncio.CancelledError
    except (RuntimeError, asyncio.CancelledError):
        pass
    return backend


async def _tenants_in(
    connection: asyncpg.Connection, table: Table, setting: str | None, *, as_app: bool = False
) -> set[UUID]:
    """Tenants whose rows are seen; rows of a table of nobody count as the tenant 0."""
    column = table.tenant_column or "'00000000-0000-0000-0000-000000000000'::uuid"
    transaction = connection.transaction()
    await transaction.start()
    try:
        if as_app:
            await connection.execute("set local role babysea_app")
        if setting is not None:
            await connection.execute("select set_config('app.account_id', $1, true)", setting)
        rows = await connection.fetch(f"select distinct {column} as tenant from {table.name}")
        return {row["tenant"] for row in rows}
    finally:
        await transaction.rollback()
