"""Direct calls of the SQL functions that admit, run, settle and cancel generations."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg

from kit.ids import uuid7
from tests.support.region import TestRegion

DEADLINE = datetime(2100, 1, 1, tzinfo=UTC)
ADMIT = (
    "select word, generation_id, available from generation.admit_many($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[], $5::bytea[],"
    " $6::bigint[], $7::text[], $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[], $13::uuid[], $14::bytea[], $15::text[], $16::text[])"
)
SETTLE = (
    "select generation_id, word from generation.settle_many($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::uuid[], $6::bigint[],"
    " $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[], $12::timestamptz[])"
)
CANCEL = "select generation_id, word, running from generation.cancel_many($1::uuid[], $2::uuid[])"


def mark(*parts: object) -> bytes:
    """A fingerprint of anything."""
    return hashlib.sha256(repr(parts).encode()).digest()


@dataclass(frozen=True)
class Ask:
    """One request to admit."""

    account: UUID
    amount: int | None = 5
    id: UUID = field(default_factory=uuid4)
    key: bytes | None = None
    api_key: UUID | None = None
    fingerprint: bytes = b"same"
    resident: str | None = "fal"
    """What is left of the order under strict residency."""


@dataclass(frozen=True)
class End:
    """One way to end a generation; a fresh job's token is 0, and a success names the attempt that `begin_all` began."""

    id: UUID
    capture: int | None = 5
    token: int = 0
    state: str = "succeeded"
    attempt: UUID | None = None
    outputs: str | None = None
    cost: int | None = None


async def admit(connection: asyncpg.Connection, *asks: Ask) -> list[tuple[str, UUID | None, int | None]]:
    """Word, generation and available money of each request."""
    n = len(asks)
    rows = await connection.fetch(
        ADMIT,
        [ask.account for ask in asks],
        [ask.id for ask in asks],
        [ask.api_key for ask in asks],
        [ask.key for ask in asks],
        [ask.fingerprint for ask in asks],
        [ask.amount for ask in asks],
        ["card"] * n,
        [DEADLINE] * n,
        ["pro"] * n,
        ["bfl/flux-schnell"] * n,
        ["image"] * n,
        ["replicate,fal"] * n,
        [uuid7() for _ in asks],
        [b"sealed"] * n,
        ["00-trace"] * n,
        [ask.resident for ask in asks],
    )
    return [tuple(row) for row in rows]


async def words(connection: asyncpg.Connection, *asks: Ask) -> list[str]:
    """The word of each request."""
    return [word for word, _, _ in await admit(connection, *asks)]


async def settle(connection: asyncpg.Connection, *ends: End) -> list[str]:
    """The word of each settlement, by position."""
    n = len(ends)
    rows = await connection.fetch(
        SETTLE,
        [end.id for end in ends],
        [end.token for end in ends],
        [end.state for end in ends],
        [end.capture for end in ends],
        [end.attempt or (end.id if end.state == "succeeded" else None) for end in ends],
        [end.cost for end in ends],
        [None] * n,
        [None if end.state == "succeeded" else "BSE5001" for end in ends],
        [None if end.state == "succeeded" else "It failed." for end in ends],
        ["[]"] * n,
        [end.outputs for end in ends],
        [DEADLINE] * n,
    )
    assert [row["generation_id"] for row in rows] == [end.id for end in ends]
    return [row["word"] for row in rows]


async def cancel(connection: asyncpg.Connection, *pairs: tuple[UUID, UUID]) -> list[tuple[str, bool]]:
    """Word and whether a provider may still be at work, for pairs of account and generation."""
    rows = await connection.fetch(CANCEL, [account for account, _ in pairs], [id_ for _, id_ in pairs])
    assert [row["generation_id"] for row in rows] == [id_ for _, id_ in pairs]
    return [(row["word"], row["running"]) for row in rows]


async def begin(
    connection: asyncpg.Connection,
    id_: UUID,
    token: int,
    attempt: UUID,
    ordinal: int = 1,
    provider: str = "fal",
) -> str:
    """The word of begin_attempt."""
    query = "select generation.begin_attempt($1, $2, $3, $4, $5)"
    return str(await connection.fetchval(query, id_, token, attempt, ordinal, provider))


async def begin_all(connection: asyncpg.Connection, *ids: UUID, token: int = 0) -> None:
    """Begins an attempt of each generation, under the generation's own id."""
    for id_ in ids:
        assert await begin(connection, id_, token, id_) == "begun"


async def record(
    connection: asyncpg.Connection,
    id_: UUID,
    token: int,
    attempt: UUID,
    state: str,
    *,
    job_id: str | None = None,
    cost: int | None = None,
) -> str:
    """The word of record_attempt."""
    query = "select generation.record_attempt($1, $2, $3, $4, $5, null, null, null, null, $6, null)"
    return str(await connection.fetchval(query, id_, token, attempt, state, job_id, cost))


async def fact(region: TestRegion, query: str, *values: object) -> object:
    """One value, read as the superuser."""
    connection = await region.connect()
    try:
        return await connection.fetchval(query, *values)
    finally:
        await connection.close()


async def written(region: TestRegion, account: UUID) -> dict[str, int]:
    """How many rows an account has in each table that admission writes."""
    tables = (
        "ledger.hold",
        "ledger.transfer",
        "generation.claim",
        "generation.generation",
        "events.event",
        "events.outbox",
    )
    connection = await region.connect()
    try:
        counts = {
            table: await connection.fetchval(f"select count(*) from {table} where account_id = $1", account)
            for table in tables
        }
        counts["runtime.job"] = await connection.fetchval(
            "select count(*) from runtime.job j join generation.generation g using (id) where g.account_id = $1",
            account,
        )
        return counts
    finally:
        await connection.close()


async def event_versions(region: TestRegion, aggregate: UUID) -> list[tuple[int, str]]:
    """Version and type of an aggregate's events, in the order of their versions."""
    query = (
        "select aggregate_version, type from events.event where aggregate_id = $1 order by aggregate_version"
    )
    connection = await region.connect()
    try:
        return [tuple(row) for row in await connection.fetch(query, aggregate)]
    finally:
        await connection.close()


async def assert_events_are_whole(region: TestRegion) -> None:
    """Each generation's events count from 1 to its version without a gap, and each event is in the outbox once."""
    connection = await region.connect()
    try:
        gaps = await connection.fetch(
            "select g.id from generation.generation g left join events.event e on e.aggregate_id = g.id group by g.id"
            " having array_agg(e.aggregate_version order by e.aggregate_version) <> array(select generate_series(1, g.version))"
        )
        lost = await connection.fetch(
            "select e.id from events.event e left join events.outbox o on o.event_id = e.id group by e.id having count(o.id) <> 1"
        )
        assert (gaps, lost) == ([], [])
    finally:
        await connection.close()


async def admitted(
    region: TestRegion, admitter: asyncpg.Connection, n: int = 1, credit: int = 10_000
) -> tuple[UUID, list[UUID]]:
    """An account and some generations of it, at 5 micro-dollars each."""
    account = await region.new_account(credit=credit)
    asks = [Ask(account) for _ in range(n)]
    assert await words(admitter, *asks) == ["held"] * n
    return account, [ask.id for ask in asks]


async def state(region: TestRegion, id_: UUID) -> object:
    """The generation's state."""
    return await fact(region, "select state from generation.generation where id = $1", id_)


@asynccontextmanager
async def connected(region: TestRegion, role: str, n: int) -> AsyncIterator[Sequence[asyncpg.Connection]]:
    """Connections of one role."""
    connections = [await region.connect(role) for _ in range(n)]
    try:
        yield connections
    finally:
        for connection in connections:
            await connection.close()
