"""A provider's answer to a submit reaches the record whatever happens meanwhile: no job is paid twice or forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from babysea.generation.v1 import generation_pb2
from tests.integration.resilience.trouble import (
    CREDIT,
    PRICE,
    database_away,
    ended,
    jobs,
    rows,
    stop_working,
    submitted,
    turn,
    working,
)
from tests.support.stack import Customer, Stack


async def succeeded_with_its_only_job(stack: Stack, customer: Customer, generation_id: str) -> None:
    record = await ended(customer, generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert len(await stack.log()) == 1
    assert [attempt.provider_job_id for attempt in record.attempts] == [
        job["job_id"] for job in await jobs(stack)
    ]
    assert await customer.balance() == (CREDIT - PRICE, 0)
    assert await stack.region.audit() == []


async def test_an_answer_that_arrives_while_the_database_is_away_is_recorded_afterwards(
    stack: Stack, customer: Customer
) -> None:
    await turn(stack, "replicate", hang_ms=800)
    created = await customer.create()
    await submitted(stack)
    async with database_away(stack):
        await asyncio.sleep(2)
    await succeeded_with_its_only_job(stack, customer, created.generation.generation_id)


async def test_an_executor_told_to_stop_during_a_submit_records_its_answer_and_a_successor_follows_the_job(
    stack: Stack, customer: Customer
) -> None:
    await stop_working(stack)
    await turn(stack, "fal", hang_ms=1000)
    shared = stack.server.shared
    hurried = replace(shared, settings=shared.settings.model_copy(update={"drain_seconds": 0.1}))
    async with working(hurried):
        generation_id = (await customer.create(provider_order="fal")).generation.generation_id
        await submitted(stack)
    [attempt] = (await customer.get(generation_id)).attempts
    assert attempt.state == generation_pb2.ATTEMPT_STATE_ACCEPTED
    assert attempt.provider_job_id
    async with working(shared):
        await succeeded_with_its_only_job(stack, customer, generation_id)


async def test_a_lease_lost_during_a_submit_loses_no_answer(stack: Stack, customer: Customer) -> None:
    await turn(stack, "fal", hang_ms=1500)
    created = await customer.create(provider_order="fal")
    await submitted(stack)
    await rows(stack, "update runtime.worker set expires_at = now() - interval '1 second'")
    await succeeded_with_its_only_job(stack, customer, created.generation.generation_id)
