"""Generations end to end inside one region: real server, executor, database and sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from babysea.generation.v1 import generation_pb2
from server.generation.execution import outputs
from server.providers.media import mp4_seconds
from tests.support.stack import Customer, Stack


async def test_an_image_is_made_stored_and_paid_once(stack: Stack, customer: Customer) -> None:
    created = await customer.create()
    assert created.generation.state == generation_pb2.STATE_PENDING
    assert list(created.generation.provider_order) == ["replicate", "fal"]
    record = await customer.finished(created.generation.generation_id)
    generation = record.generation
    assert generation.state == generation_pb2.STATE_SUCCEEDED
    assert generation.provider_used == "replicate"
    assert generation.prediction_id == created.generation.prediction_id == record.attempts[0].attempt_id
    assert (generation.price_micros, generation.charged_micros) == (5_000, 5_000)
    assert len(generation.outputs) == 1
    assert await customer.balance() == (100_000_000 - 5_000, 0)
    assert await stack.region.audit() == []


async def test_when_the_first_provider_is_out_the_second_delivers_and_both_are_on_record(
    stack: Stack, customer: Customer
) -> None:
    created = await customer.create(prompt="a lighthouse [[outage=replicate]]")
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert record.generation.provider_used == "fal"
    assert [(a.provider, a.state) for a in record.attempts] == [
        ("replicate", generation_pb2.ATTEMPT_STATE_FAILED),
        ("fal", generation_pb2.ATTEMPT_STATE_SUCCEEDED),
    ]
    assert record.attempts[0].error.code == "BSE4003"
    assert await stack.region.audit() == []


async def test_when_both_providers_are_out_it_fails_and_the_credits_are_back(
    stack: Stack, customer: Customer
) -> None:
    created = await customer.create(prompt="a lighthouse [[outage=replicate]] [[outage=fal]]")
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_FAILED
    assert record.generation.error_code == "BSE4004"
    assert [error.provider for error in record.generation.provider_errors] == ["replicate", "fal"]
    assert await customer.balance() == (100_000_000, 0)
    assert await stack.region.audit() == []


async def test_a_video_is_made_and_its_file_is_an_mp4(stack: Stack, customer: Customer) -> None:
    created = await customer.create(
        model_identifier="bytedance/seedance-1-pro", media=generation_pb2.MEDIA_VIDEO, duration=5.0
    )
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert record.generation.outputs[0].content_type == "video/mp4"
    assert record.generation.charged_micros == record.generation.price_micros > 0
    assert await stack.region.audit() == []


@pytest.mark.parametrize(("said", "counted"), [((1 << 32) - 1, 5), ((1 << 32) - 2, 6)])
async def test_a_film_whose_header_says_nothing_or_nonsense_costs_what_was_asked_for(
    stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch, said: int, counted: int
) -> None:
    def said_so(path: Path) -> float | None:
        content = bytearray(path.read_bytes())
        header = content.index(b"mvhd") + 4
        content[header + 16 : header + 20] = said.to_bytes(4, "big")
        path.write_bytes(content)
        return mp4_seconds(path)

    monkeypatch.setattr(outputs, "mp4_seconds", said_so)
    created = await customer.create(
        model_identifier="bytedance/seedance-1-pro",
        media=generation_pb2.MEDIA_VIDEO,
        duration=5.0,
        resolution="720p",
    )
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert record.generation.charged_micros == record.generation.price_micros
    assert record.attempts[0].cost_micros == counted * 60_000


async def test_content_that_a_policy_refuses_is_not_tried_elsewhere(stack: Stack, customer: Customer) -> None:
    created = await customer.create(prompt="something [[moderate]]")
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_FAILED
    assert record.generation.error_code == "BSE2006"
    assert len(record.attempts) == 1
    assert await customer.balance() == (100_000_000, 0)
