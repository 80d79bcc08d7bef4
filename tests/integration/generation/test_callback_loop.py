"""The whole way of a report: the sandbox signs and sends it, the gateway passes it on, the region wakes a worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from babysea.generation.v1 import generation_pb2
from gateway.main import serving
from kit.settings import Settings
from sandbox.config import webhook_secret
from tests.integration.providers.outside import closed_port
from tests.support.postgres import TestDatabase
from tests.support.stack import Stack, running_stack

MODEL = "bfl/flux-kontext-pro"
PROVIDERS = ["bfl", "fal", "replicate"]


@pytest.fixture
async def stack(database: TestDatabase, sandbox_url: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """A region whose providers report to its gateway."""
    port = closed_port()
    async with running_stack(
        database,
        sandbox_url,
        tmp_path,
        callback_base_url=f"http://127.0.0.1:{port}",
        bfl_base_url=sandbox_url,
        bfl_key=SecretStr("bfl"),
        replicate_webhook_secret=SecretStr(webhook_secret()),
    ) as running:
        settings = Settings(
            gateway_listen=f"us=127.0.0.1:{port}",
            gateway_upstreams=f"us={running.server.address}",
            gateway_service_tokens=f"us={tmp_path / 'service.token'}",
        )
        async with serving(settings):
            yield running


async def reported(stack: Stack, provider: str) -> list[dict[str, Any]]:
    """What the sandbox reported of a provider's jobs, once it has come to an end with it."""
    async with asyncio.timeout(20):
        while True:
            notes = (await stack.sandbox.get("/_sandbox/callbacks")).json()["attempts"]
            found = [note for note in notes if note["provider"] == provider]
            if any(note["event"] == "completed" and note["status"] == 200 for note in found):
                return found
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("how", ["send", "twice", "forged", "stale", "reordered"])
async def test_however_a_provider_reports_there_is_one_success_and_one_settlement(
    stack: Stack, provider: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "server.generation.callbacks")
    customer = await stack.customer()
    answer = await stack.sandbox.put(f"/_sandbox/knobs/{provider}", json={"callbacks": how})
    assert answer.status_code == 200, answer.text
    created = await customer.create(model_identifier=MODEL, provider_order=provider)
    record = await customer.finished(created.generation.generation_id)
    generation = record.generation
    assert generation.state == generation_pb2.STATE_SUCCEEDED, generation.error_code
    assert [attempt.provider for attempt in record.attempts] == [provider]
    posted, held = await customer.balance()
    assert (posted, held) == (100_000_000 - generation.charged_micros, 0)
    # 503 where a report overtook the answer to the submit; it then came again.
    assert {note["status"] for note in await reported(stack, provider)} <= {200, 503}
    assert await stack.region.audit() == []
    assert len(await stack.log()) == 1
    told = [record for record in caplog.records if record.name == "server.generation.callbacks"]
    outcomes = {vars(record)["facts"]["outcome"] for record in told}
    if how in {"forged", "stale"}:
        assert outcomes == {"refused"}
    else:
        assert outcomes <= {"woken", "seen", "ended", "early"}
        assert outcomes & {"woken", "ended"}
