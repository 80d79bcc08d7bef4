"""Providers that do the work while they are asked: their answer is delivered at once, checked, paid once and never lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from babysea.generation.v1 import generation_pb2
from server.worker import open_executor
from tests.integration.execution.fakes import Fakes, pictures, png, says
from tests.integration.execution.waste import wasted
from tests.support.stack import Customer, Stack

MODEL = "gpt/image-1.5"
COST = 34_000
"""What OpenAI bills for one picture, by the catalog."""


async def test_an_answer_with_the_pictures_in_it_is_checked_stored_and_paid_once(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    created = await customer.create(model_identifier=MODEL, output_number=2, output_format="png")
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert record.generation.charged_micros == record.generation.price_micros
    assert [file.size_bytes for file in record.generation.outputs] == [len(png())] * 2
    assert [(each.provider, each.cost_micros) for each in record.attempts] == [("openai", 2 * COST)]
    assert (fakes.calls("openai"), fakes.calls("replicate")) == (1, 0)
    assert await wasted(stack, created.generation.generation_id) == []
    assert await stack.region.audit() == []


async def test_a_part_of_what_was_asked_is_delivered_and_only_that_is_charged(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    fakes.scripts["openai"] = [pictures(2)]
    created = await customer.create(model_identifier=MODEL, output_number=4, output_format="png")
    record = await customer.finished(created.generation.generation_id)
    assert len(record.generation.outputs) == 2
    assert record.generation.charged_micros * 2 == record.generation.price_micros
    assert record.attempts[0].cost_micros == 2 * COST
    assert await stack.region.audit() == []


@pytest.mark.parametrize(
    "content",
    [b"not a picture", png()[:-20], b"\xff\xd8\xff\xe0" + bytes(40)],
    ids=["no picture", "cut off", "another kind"],
)
async def test_an_inline_file_that_is_not_what_was_asked_goes_to_waste_and_the_next_provider_delivers(
    fakes: Fakes, stack: Stack, customer: Customer, content: bytes
) -> None:
    fakes.scripts["openai"] = [pictures(content=content)]
    created = await customer.create(model_identifier=MODEL, output_format="png")
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert record.generation.provider_used == "replicate"
    assert [error.code for error in record.generation.provider_errors] == ["BSE4006"]
    assert await wasted(stack, created.generation.generation_id) == [("openai", "discarded", COST)]
    assert await stack.region.audit() == []


async def test_while_our_store_is_away_the_pictures_wait_for_it(
    fakes: Fakes, stack: Stack, customer: Customer, tmp_path: Path
) -> None:
    obstacle = _away(tmp_path)
    created = await customer.create(model_identifier=MODEL, output_format="png")
    await _accepted(customer, created.generation.generation_id)
    obstacle.unlink()
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert len(record.attempts) == fakes.calls("openai") == 1


async def test_pictures_that_were_lost_with_their_worker_are_waste_and_the_next_provider_delivers(
    fakes: Fakes, stack: Stack, customer: Customer, tmp_path: Path
) -> None:
    obstacle = _away(tmp_path)
    created = await customer.create(model_identifier=MODEL, output_format="png")
    generation_id = created.generation.generation_id
    await _accepted(customer, generation_id)
    stack.executor.stop()
    assert stack.executing is not None
    await stack.executing
    obstacle.unlink()
    async with open_executor(stack.server.shared) as successor:
        running = asyncio.create_task(successor.run())
        record = await customer.finished(generation_id)
        successor.stop()
        await running
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert record.generation.provider_used == "replicate"
    assert fakes.calls("openai") == 1
    assert await wasted(stack, generation_id) == [("openai", "discarded", COST)]
    assert await stack.region.audit() == []


async def test_a_worker_that_stops_hangs_up_in_a_bounded_time_and_its_successor_asks_nobody_twice(
    fakes: Fakes, stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.generation.execution.executor._SEND_SECONDS", 0.5)
    fakes.always["openai"] = pictures(after=60)
    created = await customer.create(model_identifier=MODEL, output_format="png")
    async with asyncio.timeout(20):
        while not fakes.calls("openai"):
            await asyncio.sleep(0.02)
        stack.executor.stop()
        assert stack.executing is not None
        await stack.executing
    record = await customer.get(created.generation.generation_id)
    assert record.attempts[0].state in {
        generation_pb2.ATTEMPT_STATE_SUBMIT_UNKNOWN,
        generation_pb2.ATTEMPT_STATE_DISCARDED,
    }
    async with open_executor(stack.server.shared) as successor:
        running = asyncio.create_task(successor.run())
        record = await customer.finished(created.generation.generation_id)
        successor.stop()
        await running
    assert (record.generation.state, record.generation.error_code) == (generation_pb2.STATE_FAILED, "BSE4008")
    assert fakes.calls("openai") == 1
    assert fakes.calls("replicate") == 0
    assert await stack.region.audit() == []


async def test_a_call_ends_at_the_generations_deadline_and_is_charged_to_nobody(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    fakes.always["openai"] = pictures(after=60)
    created = await customer.create(model_identifier=MODEL, deadline_seconds=1)
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_FAILED
    assert await customer.balance() == (100_000_000, 0)
    assert await wasted(stack, created.generation.generation_id) == [("openai", "discarded", COST)]
    assert await stack.region.audit() == []


async def test_a_content_policy_ends_it_unless_the_customer_wants_the_next_provider(
    fakes: Fakes, customer: Customer
) -> None:
    error = {"type": "image_generation_user_error", "code": "moderation_blocked", "message": "no"}
    fakes.always["openai"] = says(400, {"error": error})
    refused = await customer.create(model_identifier=MODEL)
    record = await customer.finished(refused.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_FAILED
    assert [each.provider for each in record.attempts] == ["openai"]
    policy = record.generation.error_code
    tried = await customer.create(model_identifier=MODEL, output_format="png", content_policy_failover=True)
    record = await customer.finished(tried.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert [each.provider for each in record.attempts] == ["openai", "replicate"]
    alone = await customer.create(
        model_identifier=MODEL, provider_order="openai", content_policy_failover=True
    )
    record = await customer.finished(alone.generation.generation_id)
    assert record.generation.error_code == policy, "when everybody says so, that is the reason"


def _away(folder: Path) -> Path:
    obstacle = folder / "storage" / "outputs"
    obstacle.write_bytes(b"")
    return obstacle


async def _accepted(customer: Customer, generation_id: str) -> None:
    async with asyncio.timeout(20):
        while True:
            record = await customer.get(generation_id)
            if record.attempts and record.attempts[0].state == generation_pb2.ATTEMPT_STATE_ACCEPTED:
                return
            await asyncio.sleep(0.02)
