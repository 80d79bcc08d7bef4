"""A provider that bills what it stopped in the middle: the customer pays nothing, and the house's book says what it cost."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import SecretStr

from babysea.generation.v1 import generation_pb2, generation_service_pb2
from tests.integration.execution.waste import wasted
from tests.integration.generation.test_cancel import in_state
from tests.support.postgres import TestDatabase
from tests.support.stack import running_stack


async def test_what_runway_stopped_in_the_middle_is_booked_as_it_is_billed(
    database: TestDatabase, sandbox_url: str, tmp_path: Path
) -> None:
    runway = {"runway_base_url": f"{sandbox_url}/runway", "runway_key": SecretStr("key")}
    async with running_stack(database, sandbox_url, tmp_path, **runway) as stack:
        customer = await stack.customer()
        created = await customer.create(
            model_identifier="runway/gen-4.5",
            media=generation_pb2.MEDIA_VIDEO,
            duration=5,
            provider_order="runway",
            prompt="a lighthouse [[slow=8000]]",
        )
        id_ = created.generation.generation_id
        await in_state(customer, id_, generation_pb2.ATTEMPT_STATE_ACCEPTED)
        # The first quarter of its time it waits.
        await asyncio.sleep(3)
        cancel = generation_service_pb2.CancelGenerationRequest(generation_id=id_)
        await stack.generations.CancelGeneration(cancel, metadata=customer.metadata)
        await in_state(customer, id_, generation_pb2.ATTEMPT_STATE_CANCELED)
        [entry] = await stack.log()
        assert entry["billable"] == 600_000
        assert await wasted(stack, id_) == [("runway", "canceled", 600_000)]
        assert await customer.balance() == (100_000_000, 0)
        assert await stack.region.audit() == []
