"""Who is tried, and who is not: open breakers postpone, what cannot be served is not sent, and all of it is on record."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from babysea.generation.v1 import generation_pb2, generation_service_pb2, timeline_pb2
from kit.rpc import error_of
from tests.integration.execution.fakes import Fakes, says
from tests.integration.execution.waste import wasted
from tests.support.stack import Customer, Stack

MODEL = "gpt/image-1.5"


async def test_a_provider_whose_account_is_out_is_put_off_told_to_operators_and_never_billed_to_a_customer(
    fakes: Fakes, stack: Stack, customer: Customer, caplog: pytest.LogCaptureFixture
) -> None:
    fakes.always["openai"] = says(401, {"error": {"message": "no", "code": "invalid_api_key"}})
    first = await _made(customer)
    assert [each.provider for each in first.attempts] == ["openai", "replicate"]
    second = await _made(customer)
    assert [each.provider for each in second.attempts] == ["replicate"], "no row for who was only put off"
    assert list(second.generation.provider_order) == ["openai", "replicate", "fal"]
    assert fakes.calls("openai") == 1
    told = [each for each in caplog.records if each.levelname == "ERROR" and "account" in each.message]
    assert len(told) == 1
    decisions = await _decisions(customer, second.generation.generation_id)
    assert decisions == [
        (timeline_pb2.DECISION_KIND_ORDER_PLANNED, ["openai", "replicate", "fal"]),
        (timeline_pb2.DECISION_KIND_POSTPONED, ["openai"]),
        (timeline_pb2.DECISION_KIND_PROVIDER_CHOSEN, ["replicate"]),
    ]
    assert await stack.region.audit() == []


async def test_whoever_was_put_off_is_tried_when_nobody_else_is_left(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    fakes.scripts["openai"] = [says(401, {"error": {"message": "no"}})]
    await _made(customer)
    fakes.always["replicate"] = says(503, {"detail": "no"})
    record = await _made(customer, provider_order="openai,replicate")
    assert [each.provider for each in record.attempts] == ["replicate", "openai"]
    assert record.generation.provider_used == "openai"
    alone = await _made(customer, provider_order="openai")
    assert [each.provider for each in alone.attempts] == ["openai"], "an explicit order stays the set"


async def test_a_provider_that_asks_to_be_left_alone_is_and_comes_back_afterwards(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    error = {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}
    fakes.scripts["openai"] = [says(429, error, retry_after="2")]
    limited = await _made(customer)
    assert [each.provider for each in limited.attempts] == ["openai", "replicate"]
    spared = await _made(customer)
    assert [each.provider for each in spared.attempts] == ["replicate"]
    async with asyncio.timeout(20):
        while (await _made(customer)).generation.provider_used != "openai":
            await asyncio.sleep(0.2)


async def test_a_provider_that_cannot_serve_it_is_sent_nothing_and_its_reason_is_on_record(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    created = await customer.create(
        model_identifier="bytedance/seedream-5-lite", output_format="jpg", provider_order="fal,replicate"
    )
    record = await customer.finished(created.generation.generation_id)
    assert fakes.calls("fal") == 0
    assert record.attempts[0].provider == "fal"
    assert record.attempts[0].state == generation_pb2.ATTEMPT_STATE_FAILED
    assert "output format" in record.attempts[0].error.message
    assert [each.provider for each in record.attempts] == ["fal", "replicate"]


async def test_what_nobody_of_the_order_can_serve_is_refused_by_its_field_and_costs_nothing(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await customer.create(
            model_identifier="bytedance/seedream-5-lite", output_format="jpg", provider_order="fal"
        )
    error = error_of(refused.value)
    assert (error.spec.bse_code, error.details["field"]) == ("BSE2001", "output_format")
    assert await customer.balance() == (100_000_000, 0)


async def test_of_calls_that_share_an_attempt_those_that_deliver_are_charged(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    fakes.scripts["fal"] = [says(500, {"detail": "no"})]
    record = await _made(customer, provider_order="fal", output_number=10)
    assert sorted(body["num_images"] for body in fakes.asked["fal"]) == [2, 4, 4]
    delivered = len(record.generation.outputs)
    assert delivered in {6, 8}
    assert record.generation.charged_micros == record.generation.price_micros * delivered // 10
    assert len(record.attempts) == 1
    assert await wasted(stack, record.generation.generation_id) == []
    assert await stack.region.audit() == []


async def test_what_is_ready_is_delivered_when_the_rest_is_late(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    fakes.stuck = 1
    record = await _made(customer, provider_order="fal", output_number=8, deadline_seconds=2)
    assert len(record.generation.outputs) == 4
    assert record.generation.charged_micros * 2 == record.generation.price_micros
    assert await stack.region.audit() == []


async def _made(customer: Customer, **changes: object) -> generation_service_pb2.GetGenerationResponse:
    created = await customer.create(**{"model_identifier": MODEL, "output_format": "png", **changes})
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED, record.generation.error_code
    return record


async def _decisions(customer: Customer, generation_id: str) -> list[tuple[int, list[str]]]:
    answer = await customer.stack.generations.GetTimeline(
        generation_service_pb2.GetTimelineRequest(generation_id=generation_id), metadata=customer.metadata
    )
    return [
        (entry.decision.kind, list(entry.decision.providers))
        for entry in answer.entries
        if entry.WhichOneof("what") == "decision"
    ]
