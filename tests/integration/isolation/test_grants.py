"""Grants: every table, function and schema has a decision, and the database enforces it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from uuid import uuid4

import asyncpg
import pytest

from tests.integration.isolation import grants
from tests.integration.isolation.tenants import ROLES, new_tenant
from tests.support.postgres import TEMPLATE, VAULT
from tests.support.region import TestRegion

VERBS = {
    "S": "SELECT",
    "I": "INSERT",
    "U": "UPDATE",
    "D": "DELETE",
    "T": "TRUNCATE",
    "R": "REFERENCES",
    "G": "TRIGGER",
    "M": "MAINTAIN",
}
COLUMN_VERBS = {"SELECT", "INSERT", "UPDATE", "REFERENCES"}
LEDGER = ("ledger.account", "ledger.hold", "ledger.transfer", "ledger.house")


async def test_every_table_and_verb_is_granted_as_decided(region: TestRegion) -> None:
    connection = await region.connect()
    try:
        assert await _matrix(connection) == _expected(grants.TABLES)
        sequences = await connection.fetch(
            "select c.oid::regclass::text from pg_class c cross join unnest($1::text[]) r where c.relkind = 'S'"
            " and has_sequence_privilege(r, c.oid, 'USAGE, SELECT, UPDATE')",
            list(ROLES),
        )
        assert sequences == []
    finally:
        await connection.close()


async def test_every_table_of_the_vault_is_granted_as_decided(region: TestRegion) -> None:
    connection = await asyncpg.connect(region.database.cluster.url(region.database.vault))
    try:
        assert await _matrix(connection) == _expected(grants.VAULT)
    finally:
        await connection.close()


async def test_every_function_is_granted_as_decided_and_to_nobody_by_default(region: TestRegion) -> None:
    connection = await region.connect()
    try:
        rows = await connection.fetch(
            "select p.oid, n.nspname || '.' || p.proname as name, p.prosecdef, p.proconfig, p.proowner::regrole::text as owner,"
            " (select array_agg(r) filter (where has_function_privilege(r, p.oid, 'EXECUTE')) from unnest($1::text[]) r) as roles,"
            " exists (select 1 from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x where x.grantee = 0) as to_public"
            " from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
            " where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'",
            list(ROLES),
        )
        assert {row["name"]: set(row["roles"] or ()) for row in rows} == grants.FUNCTIONS
        # One decision a name: an overload would hide behind its namesake.
        assert len(rows) == len(grants.FUNCTIONS)
        for row in rows:
            assert not row["to_public"], row["name"]
            assert row["owner"] == "babysea_owner", row["name"]
            if row["name"] in grants.INVOKERS:
                assert not row["prosecdef"], row["name"]
                continue
            assert row["prosecdef"], row["name"]
            path = [each for each in row["proconfig"] if each.startswith("search_path=")]
            assert path == ["search_path=pg_catalog, pg_temp"], row["name"]
    finally:
        await connection.close()


async def test_schemas_are_open_as_decided_and_nobody_creates_in_one(region: TestRegion) -> None:
    connection = await region.connect()
    try:
        rows = await connection.fetch(
            "select n.nspname, array_agg(r) filter (where has_schema_privilege(r, n.oid, 'USAGE')) as users,"
            " array_agg(r) filter (where has_schema_privilege(r, n.oid, 'CREATE')) as makers"
            " from pg_namespace n cross join unnest($1::text[]) r"
            " where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' group by 1",
            list(ROLES),
        )
        assert {row["nspname"]: set(row["users"] or ()) for row in rows} == grants.SCHEMAS
        assert all(row["makers"] is None for row in rows)
    finally:
        await connection.close()


async def test_the_login_roles_have_no_powers_and_belong_to_no_other_role(region: TestRegion) -> None:
    connection = await region.connect()
    try:
        roles = await connection.fetch(
            "select rolname, rolcanlogin, rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication as mighty"
            " from pg_roles where rolname = any ($1)",
            [*ROLES, "babysea_owner"],
        )
        assert {row["rolname"]: row["rolcanlogin"] for row in roles} == {
            **dict.fromkeys(ROLES, True),
            "babysea_owner": False,
        }
        assert not any(row["mighty"] for row in roles)
        members = "select member::regrole::text from pg_auth_members where member::regrole::text = any ($1)"
        assert await connection.fetch(members, [*ROLES, "babysea_owner"]) == []
    finally:
        await connection.close()


async def test_nobody_may_make_temporary_things_in_a_migrated_database(region: TestRegion) -> None:
    assert await _public_privileges(region) & {"TEMPORARY", "CREATE"} == set()


async def test_only_the_roles_of_a_region_may_connect_to_its_databases(region: TestRegion) -> None:
    assert await _public_privileges(region) == set()


async def test_the_request_path_neither_writes_the_ledger_nor_moves_money(region: TestRegion) -> None:
    tenant = await new_tenant(region)
    app = await region.connect("babysea_app")
    try:
        await app.execute("select set_config('app.account_id', $1, false)", str(tenant.account_id))
        assert await app.fetchval("select count(*) from ledger.transfer") > 0
        await _refuses(
            app, *_writes(*LEDGER, "generation.generation", "generation.attempt", "generation.output")
        )
        await _refuses(
            app,
            f"select ledger.grant_credit('{tenant.account_id}', 1, 'k')",
            f"select ledger.reserve('{tenant.account_id}', '{uuid4()}', 1, now(), '')",
            f"select ledger.settle_many(array['{tenant.running}'::uuid], '{{0}}')",
            f"select generation.settle_many(array['{tenant.running}'::uuid], '{{1}}', '{{failed}}', '{{0}}', '{{null}}', '{{0}}',"
            " '{0}', '{x}', '{x}', '{[]}', '{null}', '{null}')",
            f"select generation.cancel_many(array['{tenant.account_id}'::uuid], array['{tenant.running}'::uuid])",
            "select generation.admit_many('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
            "select ledger.audit()",
            "select runtime.reclaim()",
            "select * from runtime.job",
            "select * from generation.claim",
        )
        assert await region.audit() == []
    finally:
        await app.close()


async def test_the_admitter_runs_its_four_functions_and_reads_nothing(region: TestRegion) -> None:
    tenant = await new_tenant(region)
    admitter = await region.connect("babysea_admitter")
    try:
        await admitter.execute("select set_config('app.account_id', $1, false)", str(tenant.account_id))
        await _refuses(
            admitter, *(f"select * from {table}" for table in grants.TABLES), *_writes(*grants.TABLES)
        )
        cancel = "select word from generation.cancel_many($1, $2)"
        assert await admitter.fetchval(cancel, [uuid4()], [tenant.running]) == "unknown"
        assert await admitter.fetchval(cancel, [tenant.account_id], [tenant.running]) == "canceled"
        delete = "select word from generation.delete_generation($1, $2)"
        assert await admitter.fetchval(delete, uuid4(), tenant.running) == "unknown"
        assert await admitter.fetchval(delete, tenant.account_id, tenant.running) == "deleted"
        assert (
            await admitter.fetch(
                "select * from generation.admit_many('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',"
                " '{}', '{}', '{}', '{}', '{}', '{}', '{}')"
            )
            == []
        )
        assert await region.audit() == []
    finally:
        await admitter.close()


async def test_a_worker_changes_rows_through_functions_only(region: TestRegion) -> None:
    await new_tenant(region)
    worker = await region.connect("babysea_worker")
    try:
        assert await worker.fetchval("select count(*) from ledger.transfer") > 0
        await _refuses(
            worker, *_writes(*grants.TABLES), "select * from keys.api_key", "select * from runtime.job"
        )
    finally:
        await worker.close()


async def test_the_journal_refuses_change_even_by_its_owner_and_the_superuser(region: TestRegion) -> None:
    await new_tenant(region)
    connection = await region.connect()
    try:
        for role in ("babysea_owner", "none"):
            await connection.execute(f"set role {role}")
            for statement in (
                "update ledger.transfer set amount = 1",
                "delete from ledger.transfer",
                "truncate ledger.transfer",
            ):
                with pytest.raises(asyncpg.RaiseError, match="append-only"):
                    await connection.execute(statement)
    finally:
        await connection.close()


def _writes(*tables: str) -> list[str]:
    statements = []
    for table in tables:
        column = {
            "ledger.house": "name",
            "ledger.overdue": "hold_id",
            "ledger.audit_mark": "account_id",
            "logs.usage_daily": "account_id",
            "logs.key_daily": "account_id",
            "ledger.audit_state": "findings",
            "accounts.membership": "account_id",
            "accounts.alert_threshold": "account_id",
            "accounts.alert_channels": "account_id",
            "accounts.sign_up": "token_hash",
            "accounts.token": "token_hash",
            "accounts.recovery_code": "code_hash",
            "accounts.oidc_state": "state_hash",
            "accounts.attempt": "key",
            "accounts.welcome": "email_hash",
            "keys.api_key": "id",
            "events.outbox": "event_id",
            "generation.file_removal": "account_id",
            "privacy.consent_text": "purpose",
            "notifications.suppression": "email_hash",
            "notifications.preference": "person_id",
            "notifications.alert_look": "one",
            "generation.callback_seen": "provider",
            "generation.late_look": "attempt_id",
        }.get(table)
        column = column or (
            "account_id" if table.startswith(("ledger.t", "generation.c", "generation.o")) else "id"
        )
        statements += [
            f"insert into {table} default values",
            f"update {table} set {column} = {column}",
            f"delete from {table}",
            f"truncate {table}",
            f"select 1 from {table} for update",
        ]
    return statements


async def _refuses(connection: asyncpg.Connection, *statements: str) -> None:
    for statement in statements:
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as refused:
            await connection.execute(statement)
        # Not by row-level security, which would have let the statement begin.
        assert re.match("permission denied for (table|schema|function)", str(refused.value)), statement


async def _matrix(connection: asyncpg.Connection) -> dict[tuple[str, str], str]:
    rows = await connection.fetch(
        "select format('%I.%I', n.nspname, c.relname) as name, r as role, v as verb from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace cross join unnest($1::text[]) r cross join unnest($2::text[]) v"
        " where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'public') and c.relkind in ('r', 'p', 'v', 'm', 'f')"
        " and (has_table_privilege(r, c.oid, v) or (v = any ($3) and has_any_column_privilege(r, c.oid, v)))",
        list(ROLES),
        list(VERBS.values()),
        list(COLUMN_VERBS),
    )
    letters = {verb: letter for letter, verb in VERBS.items()}
    found: dict[tuple[str, str], str] = {}
    for name, role in {(row["name"], row["role"]) for row in rows}:
        verbs = {letters[row["verb"]] for row in rows if (row["name"], row["role"]) == (name, role)}
        found[name, role] = "".join(letter for letter in VERBS if letter in verbs)
    names = await connection.fetch(
        "select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'public') and c.relkind in ('r', 'p', 'v', 'm', 'f')"
    )
    for row in names:
        if not re.fullmatch(r"(events\.event|logs\.(request|activity))_\d{8}", row["name"]):
            found.setdefault((row["name"], ""), "")
    return found


def _expected(decisions: Mapping[str, Mapping[str, str]]) -> dict[tuple[str, str], str]:
    granted = {(table, role): verbs for table, roles in decisions.items() for role, verbs in roles.items()}
    return {**granted, **{(table, ""): "" for table in decisions}}


async def _public_privileges(region: TestRegion) -> set[str]:
    """What everyone may do in the two databases as `migrate` leaves them (a copy does not keep the rights)."""
    connection = await region.connect()
    try:
        rows = await connection.fetch(
            "select x.privilege_type from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x"
            " where d.datname = any ($1) and x.grantee = 0",
            [TEMPLATE, VAULT],
        )
        return {row["privilege_type"] for row in rows}
    finally:
        await connection.close()
