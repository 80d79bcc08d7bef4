"""Watching: the record now, every change after it, wherever it was made, and an orderly end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from uuid import UUID

import grpc
import pytest
from pydantic import SecretStr

from babysea.generation.v1 import generation_pb2, generation_service_pb2, generation_service_pb2_grpc
from kit.errors import BabySeaError
from kit.ids import uuid7
from kit.rpc import error_of
from kit.settings import Settings
from server.generation.watching import MOST_PER_ACCOUNT, Seats
from server.runtime.lifecycle import serve
from tests.integration.generation.watches import Seen, watch
from tests.support.stack import Customer, Stack

ORDER = [
    generation_pb2.STATE_PENDING,
    generation_pb2.STATE_PROCESSING,
    generation_pb2.STATE_SUCCEEDED,
]
SLOW = "a lighthouse [[slow=20000]]"


@contextmanager
def worker_process(settings: Settings) -> Iterator[None]:
    """A worker as a process of its own."""
    environment = dict(os.environ)
    for name, value in settings:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text is not None:
            environment[f"BABYSEA_{name.upper()}"] = str(text)
    program = "from kit.settings import Settings; from server.worker import run; run(Settings())"
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


async def first(seen: Seen) -> None:
    """Waits for the first record."""
    async with asyncio.timeout(20):
        while not seen.records:
            await asyncio.sleep(0.02)


async def test_a_watch_begins_with_the_record_and_ends_with_the_final_one(customer: Customer) -> None:
    created = (await customer.create(prompt="a lighthouse [[slow=1500]]")).generation
    seen = await watch(customer, created.generation_id)
    assert seen.states == ORDER[-len(seen.states) :]
    assert len(seen.states) >= 2
    record = await customer.get(created.generation_id)
    assert (seen.records[-1].generation, list(seen.records[-1].attempts)) == (
        record.generation,
        list(record.attempts),
    )
    # Of one that has ended, there is nothing more to see.
    assert (await watch(customer, created.generation_id)).states == [generation_pb2.STATE_SUCCEEDED]


async def test_a_watch_sees_the_work_of_a_worker_in_another_process_within_a_second(
    stack: Stack, customer: Customer
) -> None:
    stack.executor.stop()
    assert stack.executing is not None
    await stack.executing
    created = (await customer.create(prompt="a lighthouse [[slow=1500]]")).generation
    seen = Seen()
    watching = asyncio.create_task(watch(customer, created.generation_id, seen))
    await first(seen)
    with worker_process(stack.server.shared.settings):
        async with asyncio.timeout(60):
            await watching
    assert seen.states == ORDER
    final = seen.records[-1].generation
    arrived: dict[int, float] = {}
    for record, at in zip(seen.records, seen.times, strict=True):
        arrived.setdefault(record.generation.state, at)
    for state, happened in (
        (generation_pb2.STATE_PROCESSING, final.started_at),
        (generation_pb2.STATE_SUCCEEDED, final.completed_at),
    ):
        assert arrived[state] - happened.ToNanoseconds() / 1e9 < 1.0


async def test_watching_anothers_generation_is_like_watching_one_that_never_was(
    stack: Stack, customer: Customer
) -> None:
    theirs = (await (await stack.customer()).create()).generation.generation_id
    answers = set()
    for generation_id in (theirs, str(uuid7())):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await watch(customer, generation_id)
        answers.add((refused.value.code(), refused.value.details(), error_of(refused.value).spec.bse_code))
    assert answers == {(grpc.StatusCode.NOT_FOUND, answers.copy().pop()[1], "BSE2012")}


async def test_a_watch_ends_when_its_generation_is_deleted(stack: Stack, customer: Customer) -> None:
    created = (await customer.create(prompt=SLOW)).generation
    seen = Seen()
    watching = asyncio.create_task(watch(customer, created.generation_id, seen))
    await first(seen)
    request = generation_service_pb2.DeleteGenerationRequest(generation_id=created.generation_id)
    await stack.generations.DeleteGeneration(request, metadata=customer.metadata)
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await watching
    assert error_of(ended.value).spec.bse_code == "BSE2012"


async def test_a_watch_shows_nothing_more_to_a_key_that_was_revoked(stack: Stack, customer: Customer) -> None:
    created = (await customer.create(prompt=SLOW)).generation
    seen = Seen()
    watching = asyncio.create_task(watch(customer, created.generation_id, seen))
    await first(seen)
    admin = await stack.region.connect()
    try:
        await admin.execute(
            "update keys.api_key set revoked_at = now() where account_id = $1", customer.account_id
        )
        await admin.execute(
            "select generation.cancel_many(array[$1::uuid], array[$2::uuid])",
            customer.account_id,
            UUID(created.generation_id),
        )
    finally:
        await admin.close()
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await watching
    assert error_of(ended.value).spec.bse_code == "BSE1002"
    assert generation_pb2.STATE_CANCELED not in seen.states


async def test_a_server_that_stops_ends_its_watches_with_a_clear_status_before_it_drains(
    stack: Stack, customer: Customer
) -> None:
    created = (await customer.create(prompt=SLOW)).generation
    settings = stack.server.shared.settings.model_copy(update={"drain_seconds": 60.0})
    seen = Seen()
    async with asyncio.timeout(30), AsyncExitStack() as closing:
        async with serve(settings) as other:
            channel = await closing.enter_async_context(grpc.aio.insecure_channel(other.address))
            stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
            watching = asyncio.create_task(watch(customer, created.generation_id, seen, stub))
            await first(seen)
        # The server is down, long before the 60 s that calls in progress get.
        await asyncio.wait([watching])
    error = watching.exception()
    assert isinstance(error, grpc.aio.AioRpcError)
    assert (error.code(), error_of(error).spec.bse_code) == (grpc.StatusCode.UNAVAILABLE, "BSE5002")


async def test_an_account_has_so_many_watches_and_a_closed_one_makes_room(
    stack: Stack, customer: Customer
) -> None:
    created = (await customer.create(prompt=SLOW)).generation
    request = generation_service_pb2.WatchGenerationRequest(generation_id=created.generation_id)
    calls = [
        stack.generations.WatchGeneration(request, metadata=customer.metadata)
        for _ in range(MOST_PER_ACCOUNT)
    ]
    await asyncio.gather(*(call.read() for call in calls))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await watch(customer, created.generation_id)
    error = error_of(refused.value)
    assert (error.spec.bse_code, error.details["limit"]) == ("BSE1009", str(MOST_PER_ACCOUNT))
    assert error.details["retry_after_seconds"].isdecimal()
    # Other accounts are not concerned.
    other = await stack.customer()
    assert (await watch(other, (await other.create()).generation.generation_id)).states
    calls.pop().cancel()
    async with asyncio.timeout(10):
        while True:
            call = stack.generations.WatchGeneration(request, metadata=customer.metadata)
            try:
                await call.read()
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.02)
    for each in (call, *calls):
        each.cancel()


def test_a_full_process_sends_watchers_elsewhere_and_forgets_those_that_left() -> None:
    seats = Seats(per_process=2, per_account=2)
    a, b, c = uuid7(), uuid7(), uuid7()
    with seats.seat(a), seats.seat(b):
        with pytest.raises(BabySeaError) as full, seats.seat(c):
            pass
        assert (full.value.spec.bse_code, full.value.spec.retryable) == ("BSE5002", True)
        assert seats.taken == 2
    assert seats.taken == 0
