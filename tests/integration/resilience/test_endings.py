"""A generation ends at its deadline whatever keeps it from working, and tells its provider."""

from __future__ import annotations

from uuid import UUID

from babysea.generation.v1 import generation_pb2
from tests.integration.resilience.trouble import (
    CREDIT,
    accepted,
    jobs,
    rows,
    stop_working,
    until,
    working,
)
from tests.support.stack import Customer, Stack


async def test_a_generation_whose_model_left_the_catalog_fails_after_its_deadline_and_the_hold_comes_back(
    stack: Stack, customer: Customer
) -> None:
    await stop_working(stack)
    generation_id = UUID((await customer.create()).generation.generation_id)
    gone = "update generation.generation set model = 'gone/model', deadline_at = now() where id = $1"
    await rows(stack, gone, generation_id)

    async def failed() -> bool:
        state = "select state from generation.generation where id = $1"
        return [row["state"] for row in await rows(stack, state, generation_id)] == ["failed"]

    async with working(stack.server.shared):
        await until(failed)
    assert await customer.balance() == (CREDIT, 0)
    assert await rows(stack, "select 1 from runtime.job where id = $1", generation_id) == []
    assert await stack.log() == []
    assert await stack.region.audit() == []


async def test_at_the_deadline_the_providers_job_is_canceled(stack: Stack, customer: Customer) -> None:
    generation_id = (await customer.create(prompt="a lighthouse [[slow=60000]]")).generation.generation_id
    await accepted(customer, generation_id)
    overdue = "update generation.generation set deadline_at = clock_timestamp() where id = $1"
    await rows(stack, overdue, UUID(generation_id))
    record = await customer.finished(generation_id)
    assert record.generation.state == generation_pb2.STATE_FAILED
    assert [attempt.state for attempt in record.attempts] == [generation_pb2.ATTEMPT_STATE_CANCELED]
    assert [job["state"] for job in await jobs(stack)] == ["canceled"]
    assert await customer.balance() == (CREDIT, 0)
    assert await stack.region.audit() == []
