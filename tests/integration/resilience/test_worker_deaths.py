"""What a worker leaves on record when it dies, or stands still, decides what its successor does: no job is paid twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from babysea.generation.v1 import generation_pb2
from kit.ids import uuid7
from server.generation.execution import store
from server.generation.execution.attempts import SEND_WITHIN_SECONDS, Attempts
from server.generation.execution.callback_address import CallbackAddresses
from server.generation.execution.health import Choice, ProviderHealth
from server.generation.execution.inputs import HeldInputs
from server.generation.execution.loading import Loading
from server.generation.execution.work import Work
from server.providers.protocol import Fault
from server.providers.registry import open_providers
from server.routing.breakers import Breakers
from server.runtime import leases
from tests.integration.resilience.trouble import CREDIT, PRICE, ended, stop_working, working
from tests.support.stack import Customer, Stack


@asynccontextmanager
async def _claimed(stack: Stack) -> AsyncIterator[Work]:
    """The work of a worker that is gone when the block is left, its job with it."""
    shared = stack.server.shared
    engine, worker = shared.databases.worker, uuid7()
    await leases.heartbeat(engine, worker, 60, new=True)
    [job] = await leases.claim(engine, worker, 1)
    work = await Loading(engine, shared.envelope, shared.catalog).load(job)
    assert work is not None
    yield work
    await leases.leave(engine, worker)


async def test_a_refusal_by_policy_that_is_on_record_ends_the_generation_whoever_follows(
    stack: Stack, customer: Customer
) -> None:
    await stop_working(stack)
    generation_id = (await customer.create()).generation.generation_id
    engine = stack.server.shared.databases.worker
    async with _claimed(stack) as work:
        assert await store.begin_attempt(engine, work.job, work.prediction_id, 1, "replicate")
        await store.record_attempt(
            engine,
            work.job,
            work.prediction_id,
            "failed",
            code="BSE2006",
            message="The content policy refused the request.",
            kind="content_policy",
        )
    async with working(stack.server.shared):
        record = await ended(customer, generation_id)
    assert record.generation.state == generation_pb2.STATE_FAILED
    assert record.generation.error_code == "BSE2006"
    assert await stack.log() == []
    assert await customer.balance() == (CREDIT, 0)


async def test_a_worker_that_stood_still_before_it_could_send_sends_nothing(
    stack: Stack, customer: Customer
) -> None:
    await stop_working(stack)
    generation_id = (await customer.create()).generation.generation_id
    shared = stack.server.shared
    times = iter([0.0, SEND_WITHIN_SECONDS + 1])
    providers = open_providers(shared.settings, shared.catalog, call_seconds=15)
    async with _claimed(stack) as work:
        attempts = Attempts(
            shared.databases.worker,
            ProviderHealth(Breakers(shared.clock)),
            CallbackAddresses(shared.envelope.master, ""),
            now=lambda: next(times),
        )
        asked = await attempts.submit(work, Choice("replicate"), providers.get("replicate"), HeldInputs())
        assert isinstance(asked, Fault)
    await providers.aclose()
    assert await stack.log() == []
    async with working(shared):
        record = await ended(customer, generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert [entry["provider"] for entry in await stack.log()] == ["fal"]
    assert await customer.balance() == (CREDIT - PRICE, 0)
