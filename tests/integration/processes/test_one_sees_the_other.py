"""What one server process does, the other one knows: streams of changes, cancels and ended keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from babysea.accounts.v1.account_service_pb2 import GetBillingRequest
from babysea.generation.v1 import generation_pb2
from babysea.generation.v1 import generation_service_pb2 as pb
from babysea.keys.v1 import key_service_pb2
from babysea_sdk import CallError, Identity, InternalClient
from kit.ids import uuid7
from tests.support.deployment import Deployment

pytestmark = pytest.mark.timeout(120)

ROUNDS = 20
BOUND_SECONDS = 1.0


@dataclass(frozen=True)
class Pair:
    """The same customer at each of two servers, and an operator at the first."""

    one: InternalClient
    other: InternalClient
    operator: InternalClient
    account_id: str


@pytest.fixture
async def pair(twin: Deployment) -> AsyncIterator[Pair]:
    region = twin.region
    customer = Identity(bearer=region["api_key"])
    first, second = region["grpc_all"]
    async with AsyncExitStack() as closing:
        one, other, operator = [
            await closing.enter_async_context(InternalClient(target, identity=identity))
            for target, identity in (
                (first, customer),
                (second, customer),
                (first, Identity(bearer=twin.operator_token())),
            )
        ]
        yield Pair(one, other, operator, region["account_id"])


async def _created(client: InternalClient, prompt: str) -> str:
    request = pb.CreateGenerationRequest(
        request_id=str(uuid7()),
        model_identifier="bfl/flux-schnell",
        media=generation_pb2.MEDIA_IMAGE,
        prompt=prompt,
    )
    return (await client.generations.create_generation(request)).generation.generation_id


async def _watched(client: InternalClient, generation_id: str, first: asyncio.Event) -> list[int]:
    """The states that a watch shows until its end, each once."""
    states: list[int] = []
    async for record in client.generations.watch_generation(
        pb.WatchGenerationRequest(generation_id=generation_id)
    ):
        first.set()
        if record.generation.state not in states:
            states.append(record.generation.state)
    return states


async def test_a_watch_at_one_server_shows_what_was_created_at_the_other_until_its_end(pair: Pair) -> None:
    generation_id = await _created(pair.one, "a lighthouse [[slow=1500]]")
    states = await _watched(pair.other, generation_id, asyncio.Event())
    assert states[-1] == generation_pb2.STATE_SUCCEEDED
    assert len(states) > 1


async def test_a_watch_at_one_server_shows_a_cancel_made_at_the_other(pair: Pair) -> None:
    generation_id = await _created(pair.one, "a lighthouse [[slow=20000]]")
    first = asyncio.Event()
    watching = asyncio.create_task(_watched(pair.one, generation_id, first))
    await first.wait()
    await pair.other.generations.cancel_generation(pb.CancelGenerationRequest(generation_id=generation_id))
    assert (await watching)[-1] == generation_pb2.STATE_CANCELED


async def test_a_key_revoked_through_one_server_is_refused_by_the_other_within_a_second(pair: Pair) -> None:
    seconds = []
    for _ in range(ROUNDS):
        made = await pair.operator.keys.create_key(
            key_service_pb2.CreateKeyRequest(account_id=pair.account_id, name="n", preset="full_access")
        )
        customer = pair.other.on_behalf_of(made.secret)
        # Used there before, so that the second server remembers it.
        await customer.accounts.get_billing(GetBillingRequest())
        await pair.operator.keys.revoke_key(
            key_service_pb2.RevokeKeyRequest(account_id=pair.account_id, key_id=made.key.key_id)
        )
        seconds.append(await _until_refused(customer))
    assert max(seconds) < BOUND_SECONDS


async def _until_refused(customer: InternalClient) -> float:
    began = time.monotonic()
    async with asyncio.timeout(30):
        while True:
            try:
                await customer.accounts.get_billing(GetBillingRequest())
            except CallError as refused:
                assert refused.bse_code == "BSE1002"
                return time.monotonic() - began
