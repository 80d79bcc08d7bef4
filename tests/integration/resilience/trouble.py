"""What the tests do to a region, and how they wait for what it does about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import grpc

from babysea.generation.v1 import generation_service_pb2
from server.generation.execution.executor import Executor
from server.runtime.dependencies import Dependencies
from server.worker import open_executor
from tests.support.stack import Customer, Stack

CREDIT = 100_000_000
PRICE = 5_000


async def rows(stack: Stack, sql: str, *values: object) -> list[asyncpg.Record]:
    """Runs a statement as the superuser."""
    connection = await stack.region.connect()
    try:
        return list(await connection.fetch(sql, *values))
    finally:
        await connection.close()


async def until(fact: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Waits for a fact.

    Raises:
        TimeoutError: it did not become one.
    """
    async with asyncio.timeout(seconds):
        while not await fact():
            await asyncio.sleep(0.02)


async def submitted(stack: Stack) -> None:
    """Waits until a submit has reached a provider."""

    async def reached() -> bool:
        return bool(await stack.log())

    await until(reached)


async def accepted(customer: Customer, generation_id: str) -> str:
    """Waits until a provider's job is on record; its id."""
    async with asyncio.timeout(20):
        while True:
            attempts = (await customer.get(generation_id)).attempts
            if attempts and attempts[-1].provider_job_id:
                return attempts[-1].provider_job_id
            await asyncio.sleep(0.02)


async def ended(customer: Customer, generation_id: str) -> generation_service_pb2.GetGenerationResponse:
    """Reads a generation once it has ended, asking again where the service says that it is unavailable."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await customer.finished(generation_id)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(0.05)


async def jobs(stack: Stack) -> list[dict[str, Any]]:
    """The providers' jobs."""
    found: list[dict[str, Any]] = (await stack.sandbox.get("/_sandbox/jobs")).json()["jobs"]
    return found


async def turn(stack: Stack, provider: str, **knobs: object) -> None:
    """Changes how a provider behaves."""
    (await stack.sandbox.put(f"/_sandbox/knobs/{provider}", json=knobs)).raise_for_status()


async def cancel(customer: Customer, generation_id: str) -> None:
    """Cancels a generation."""
    request = generation_service_pb2.CancelGenerationRequest(generation_id=generation_id)
    await customer.stack.generations.CancelGeneration(request, metadata=customer.metadata)


async def stop_working(stack: Stack) -> None:
    """Stops the region's own executor and waits for its end."""
    stack.executor.stop()
    assert stack.executing is not None
    await stack.executing


@asynccontextmanager
async def working(shared: Dependencies) -> AsyncIterator[Executor]:
    """Another executor of the region."""
    async with open_executor(shared) as executor:
        running = asyncio.create_task(executor.run())
        try:
            yield executor
        finally:
            executor.stop()
            await running


@asynccontextmanager
async def database_away(stack: Stack) -> AsyncIterator[None]:
    """Breaks every connection to the main database and lets none in."""
    database = stack.region.database
    connection = await asyncpg.connect(database.cluster.url("postgres"))
    try:
        await connection.execute(f"alter database {database.name} allow_connections false")
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", database.name
        )
        yield
    finally:
        await connection.execute(f"alter database {database.name} allow_connections true")
        await connection.close()


def files_below(folder: Path) -> list[str]:
    """The names of the files in a folder and its folders."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
