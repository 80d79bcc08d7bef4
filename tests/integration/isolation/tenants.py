"""Tenants with a row in every table that belongs to one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from kit.ids import uuid7
from server.generation import store
from tests.support.people import Person, join, new_person
from tests.support.region import TestRegion

SCHEMAS = (
    "accounts",
    "keys",
    "ledger",
    "generation",
    "events",
    "runtime",
    "logs",
    "notifications",
    "privacy",
)
ROLES = ("babysea_app", "babysea_admitter", "babysea_worker", "babysea_logger")

_TABLES = """
    select format('%I.%I', n.nspname, c.relname) as name,
           (select a.attname from pg_attribute a
             where a.attrelid = c.oid and a.attname = 'account_id' and not a.attisdropped) as tenant_column
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = any ($1) and c.relkind in ('r', 'p', 'v', 'm', 'f')
     order by 1
"""


@dataclass(frozen=True)
class Table:
    """A table as the catalogue knows it."""

    name: str
    tenant_column: str | None
    """Column that names the tenant; None for tables of nobody."""


@dataclass(frozen=True)
class Tenant:
    """A tenant."""

    account_id: UUID
    key_id: UUID
    finished: UUID
    """A settled generation with one output."""
    running: UUID
    """A generation with an open attempt."""
    owner: Person
    """Its Primary Owner."""


async def tables_of(connection: asyncpg.Connection) -> list[Table]:
    """Every table, view and partition of our schemas."""
    return [
        Table(row["name"], "id" if row["name"].endswith(".account") else row["tenant_column"])
        for row in await connection.fetch(_TABLES, list(SCHEMAS))
    ]


async def new_tenant(region: TestRegion) -> Tenant:
    """A tenant with money, a key, a finished generation and a running one."""
    account_id, key_id = await region.new_account(credit=1_000_000), uuid7()
    owner = await new_person(region)
    await join(region, account_id, owner.id, "primary_owner")
    admin, worker = await region.connect(), await region.connect("babysea_worker")
    try:
        await admin.execute(
            "insert into keys.api_key (id, account_id, public_id, hash, name, scopes) values ($1, $2, $3, 'x', 'n', '{}')",
            key_id,
            account_id,
            key_id.hex[-12:],
        )
        tenant = Tenant(account_id, key_id, uuid7(), uuid7(), owner)
        verdicts = await store.admit_many(
            region.databases.admitter, [admission(tenant, tenant.finished), admission(tenant, tenant.running)]
        )
        assert [verdict.word for verdict in verdicts] == ["held", "held"]
        me, attempts = uuid7(), (uuid7(), uuid7())
        await worker.execute("select runtime.heartbeat($1, interval '1 minute', true)", me)
        jobs = {
            row["id"]: row["token"] for row in await worker.fetch("select * from runtime.claim($1, 1000)", me)
        }
        for generation, attempt in zip((tenant.finished, tenant.running), attempts, strict=True):
            began = "select generation.begin_attempt($1, $2, $3, 1, 'replicate')"
            assert await worker.fetchval(began, generation, jobs[generation], attempt) == "begun"
        settled = await admin.fetchval(
            "select word from generation.settle_many($1, $2, '{succeeded}', '{5000}', $3, '{1}', '{1}', '{null}', '{null}',"
            " '{[]}', $4, array[now() + interval '1 day'])",
            [tenant.finished],
            [jobs[tenant.finished]],
            [attempts[0]],
            ['[{"storage_key": "k", "content_type": "image/png", "size_bytes": 1, "sha256": "00"}]'],
        )
        assert settled == "settled"
        await _log(admin, tenant)
        await _invite(admin, tenant)
        return tenant
    finally:
        await admin.close()
        await worker.close()


async def _log(admin: asyncpg.Connection, tenant: Tenant) -> None:
    """A logged request with its counts, and an activity."""
    await admin.execute(
        "select logs.write_requests(array[$1::uuid], array[$2::uuid], array[$3::uuid], array[null::uuid], array[now()],"
        " array[now()], '{rest}', '{GET}', '{/v1/status}', '{\"\"}', '{200}', '{null}', '{1}', '{f}', array[null::bytea], '{a}', '{r}')",
        uuid7(),
        tenant.account_id,
        tenant.key_id,
    )
    await admin.execute(
        "select logs.note_activity($1, null, 'api_key', 'created', $2, '{}')",
        tenant.account_id,
        tenant.key_id,
    )


async def _invite(admin: asyncpg.Connection, tenant: Tenant) -> None:
    """An open invitation."""
    await admin.execute(
        "insert into accounts.invitation (id, account_id, email_hash, email_ct, role, token_hash, invited_by,"
        " created_at, expires_at) values ($1, $2, $3, $3, 'member', $3, $4, now(), now() + interval '7 days')",
        uuid7(),
        tenant.account_id,
        tenant.account_id.bytes,
        tenant.owner.id,
    )


def admission(tenant: Tenant, generation_id: UUID, amount: int = 5_000) -> store.Admission:
    """A request to admit."""
    return store.Admission(
        account=tenant.account_id,
        id=generation_id,
        api_key=tenant.key_id,
        key=generation_id.bytes,
        fingerprint=generation_id.bytes,
        amount=amount,
        rate_card="2026-11-01",
        deadline=datetime.now(UTC) + timedelta(minutes=5),
        plan="enterprise",
        model="bfl/flux-schnell",
        media="image",
        provider_order="replicate,fal",
        prediction=uuid7(),
        request=b"sealed",
        trace="",
    )
