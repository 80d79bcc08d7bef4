"""A worker whose own statements take every connection for longer than its lease keeps the lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from server.runtime.database import statement
from tests.integration.resilience.trouble import rows, until
from tests.support.postgres import TestDatabase
from tests.support.stack import Stack, running_stack

LEASE_SECONDS = 2.0


@pytest.fixture
async def stack(database: TestDatabase, sandbox_url: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """A region whose worker has few connections and a short lease."""
    settings = {"database_pool_size": 2, "lease_seconds": LEASE_SECONDS}
    async with running_stack(database, sandbox_url, tmp_path, **settings) as stack:
        yield stack


async def test_a_worker_whose_connections_are_all_busy_keeps_its_lease(stack: Stack) -> None:
    async def beating() -> bool:
        return bool(await rows(stack, "select id from runtime.worker"))

    async def slow_step() -> None:
        async with statement(stack.server.shared.databases.worker) as connection:
            await connection.execute(text(f"select pg_sleep({LEASE_SECONDS + 1.5})"))

    await until(beating)
    [before] = await rows(stack, "select id from runtime.worker")
    steps = [asyncio.create_task(slow_step()) for _ in range(2)]
    while not all(step.done() for step in steps):
        [worker] = await rows(
            stack, "select id, expires_at > clock_timestamp() as has_lease from runtime.worker"
        )
        assert (worker["id"], worker["has_lease"]) == (before["id"], True)
        await asyncio.sleep(0.1)
    await asyncio.gather(*steps)
