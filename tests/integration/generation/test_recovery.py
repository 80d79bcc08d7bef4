"""What is left after crashes and lost answers ends, and is paid once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from babysea.generation.v1 import generation_pb2
from kit.ids import uuid7
from server.generation.execution import lookup as lookup_module
from server.worker import open_executor
from tests.support.stack import Customer, Stack


@pytest.fixture
def quick_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks for a lost job at once instead of after 20 s."""
    monkeypatch.setattr(lookup_module, "LOOKUP_AFTER", timedelta(seconds=0))


async def test_a_job_whose_submit_answer_was_lost_is_found_and_never_submitted_twice(
    stack: Stack, customer: Customer, quick_lookup: None
) -> None:
    created = await customer.create(prompt="a lighthouse [[lose@replicate]]")
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert [attempt.provider for attempt in record.attempts] == ["replicate"]
    submits = [entry for entry in await stack.log() if entry["provider"] == "replicate"]
    assert len(submits) == 1
    assert await stack.region.audit() == []


async def test_a_worker_that_dies_loses_nothing_and_another_goes_on_with_the_same_provider_job(
    stack: Stack, customer: Customer
) -> None:
    created = await customer.create(prompt="a lighthouse [[slow=2500]]")
    generation_id = created.generation.generation_id
    async with asyncio.timeout(20):
        record = await customer.get(generation_id)
        while not record.attempts or not record.attempts[0].provider_job_id:
            await asyncio.sleep(0.02)
            record = await customer.get(generation_id)
    stack.executor.stop()
    assert stack.executing is not None
    await stack.executing
    # As if the job's worker had been killed: claimed, woken by nobody, its worker silent for longer than its lease.
    connection = await stack.region.connect()
    await connection.execute(
        "insert into runtime.worker (id, expires_at) values ($1, now())", dead := uuid7()
    )
    await connection.execute("update runtime.job set worker = $1, run_after = 'infinity'", dead)
    await connection.close()
    async with open_executor(stack.server.shared) as successor:
        running = asyncio.create_task(successor.run())
        ended = await customer.finished(generation_id)
        successor.stop()
        await running
    assert ended.generation.state == generation_pb2.STATE_SUCCEEDED
    assert ended.attempts[0].provider_job_id == record.attempts[0].provider_job_id
    assert len(ended.attempts) == 1
    assert len(await stack.log()) == 1
    assert await customer.balance() == (100_000_000 - 5_000, 0)
    assert await stack.region.audit() == []


async def test_two_executors_share_the_work_and_do_none_of_it_twice(stack: Stack, customer: Customer) -> None:
    async with open_executor(stack.server.shared) as second:
        running = asyncio.create_task(second.run())
        created = await asyncio.gather(*(customer.create() for _ in range(40)))
        records = await asyncio.gather(*(customer.finished(one.generation.generation_id) for one in created))
        second.stop()
        await running
    assert {record.generation.state for record in records} == {generation_pb2.STATE_SUCCEEDED}
    assert len(await stack.log()) == 40
    assert await customer.balance() == (100_000_000 - 40 * 5_000, 0)
    assert await stack.region.audit() == []
