"""A submit without an answer, at a provider that cannot be asked: at most a set amount is risked on paying twice."""

from __future__ import annotations

import pytest

from babysea.generation.v1 import generation_pb2
from tests.integration.execution.fakes import Fakes, cut, says
from tests.integration.execution.waste import wasted
from tests.support.stack import Customer, Stack

MODEL, COST = "gpt/image-1.5", 34_000


@pytest.fixture
def changes(request: pytest.FixtureRequest) -> dict[str, object]:
    return {"duplicate_spend_micros": getattr(request, "param", 0)}


async def test_by_default_it_fails_at_once_and_nobody_else_is_asked(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    fakes.always["openai"] = cut
    created = await customer.create(model_identifier=MODEL)
    record = await customer.finished(created.generation.generation_id, seconds=15)
    assert (record.generation.state, record.generation.error_code) == (generation_pb2.STATE_FAILED, "BSE4008")
    assert [(each.provider, each.state) for each in record.attempts] == [
        ("openai", generation_pb2.ATTEMPT_STATE_DISCARDED)
    ]
    assert fakes.calls("openai") == 1
    assert fakes.calls("replicate") == fakes.calls("fal") == 0
    assert await customer.balance() == (100_000_000, 0)
    assert await wasted(stack, created.generation.generation_id) == [("openai", "discarded", COST)]
    assert await stack.region.audit() == []


@pytest.mark.parametrize("changes", [COST], indirect=True)
async def test_up_to_the_set_amount_the_next_provider_is_tried_and_the_doubt_is_booked(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    fakes.always["openai"] = cut
    created = await customer.create(model_identifier=MODEL, output_format="png")
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert record.generation.provider_used == "replicate"
    assert fakes.calls("openai") == 1
    assert await wasted(stack, created.generation.generation_id) == [("openai", "discarded", COST)]
    two = await customer.create(model_identifier=MODEL, output_number=2)
    record = await customer.finished(two.generation.generation_id)
    assert record.generation.error_code == "BSE4008", "two pictures cost more than the set amount"
    assert await stack.region.audit() == []


@pytest.mark.parametrize("changes", [COST], indirect=True)
async def test_the_amount_counts_for_all_doubts_of_a_generation_together(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    fakes.always.update(openai=cut, fal=cut)
    created = await customer.create(model_identifier=MODEL, provider_order="openai,fal,replicate")
    record = await customer.finished(created.generation.generation_id)
    assert (record.generation.state, record.generation.error_code) == (generation_pb2.STATE_FAILED, "BSE4008")
    assert [each.provider for each in record.attempts] == ["openai", "fal"]
    assert fakes.calls("replicate") == 0
    assert len(await wasted(stack, created.generation.generation_id)) == 2
    assert await stack.region.audit() == []


async def test_a_refusal_is_no_doubt(fakes: Fakes, stack: Stack, customer: Customer) -> None:
    fakes.always["openai"] = says(500, {"error": {"message": "no"}})
    created = await customer.create(model_identifier=MODEL, output_format="png")
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.provider_used == "replicate"
    assert await wasted(stack, created.generation.generation_id) == []
