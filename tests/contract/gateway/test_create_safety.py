"""A create is admitted once, whatever happens to the answers."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import grpc
import pytest

from babysea.common.v1 import error_reason_pb2
from tests.contract.gateway import fake_region
from tests.contract.gateway.conftest import IMAGE, PROMPT, World
from tests.contract.gateway.fake_region import GENERATION_ID, Hook, failing


def in_turn(*hooks: Hook | None) -> Hook:
    """A hook that behaves differently from call to call; the last behaviour stays."""
    left = list(hooks)

    async def hook(request: Any, context: Any) -> None:
        now = left.pop(0) if len(left) > 1 else left[0]
        if now is not None:
            await now(request, context)

    return hook


def dropped(code: grpc.StatusCode) -> Hook:
    """An answer that got lost: a bare status without our ErrorInfo."""

    async def hook(_request: Any, context: Any) -> None:
        await context.abort(code, "Socket closed")

    return hook


@pytest.mark.parametrize(
    "lost",
    [
        dropped(grpc.StatusCode.UNAVAILABLE),
        dropped(grpc.StatusCode.DEADLINE_EXCEEDED),
        dropped(grpc.StatusCode.UNKNOWN),
        failing(error_reason_pb2.ERROR_REASON_DEADLINE_EXCEEDED),
        failing(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE, outcome="unknown"),
    ],
)
async def test_a_lost_answer_is_asked_for_again_under_the_same_request_id(world: World, lost: Hook) -> None:
    world.us.hooks["CreateGeneration"] = in_turn(lost, None)
    reply = await world.create()
    assert reply.status_code == 200, reply.text
    assert reply.json()["data"]["generation_id"] == GENERATION_ID
    assert len(world.us.requests("CreateGeneration")) == 2
    (request_id,) = world.us.admitted
    assert UUID(request_id).version == 7


async def test_each_create_has_a_request_id_of_its_own(world: World) -> None:
    await world.create()
    await world.create()
    assert len(world.us.admitted) == 2


@pytest.mark.parametrize(
    ("code", "status", "public"),
    [
        (grpc.StatusCode.UNAVAILABLE, 503, "BSE5002"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, "BSE5003"),
    ],
)
async def test_a_create_that_stays_unclear_must_not_be_repeated(
    world: World, code: grpc.StatusCode, status: int, public: str
) -> None:
    world.us.hooks["CreateGeneration"] = dropped(code)
    reply = await world.create()
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, public)
    assert reply.json()["error"]["retryable"] is False
    assert len(world.us.requests("CreateGeneration")) == 3
    assert len(world.us.admitted) == 1


async def test_a_later_refusal_does_not_make_an_unclear_create_repeatable(world: World) -> None:
    limited = failing(error_reason_pb2.ERROR_REASON_RATE_LIMIT_EXCEEDED, retry_after_seconds="1")
    world.us.hooks["CreateGeneration"] = in_turn(dropped(grpc.StatusCode.UNAVAILABLE), limited)
    reply = await world.create()
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "BSE5002")
    assert reply.json()["error"]["retryable"] is False


async def test_a_final_refusal_after_a_lost_answer_is_told(world: World) -> None:
    poor = failing(error_reason_pb2.ERROR_REASON_INSUFFICIENT_CREDITS)
    world.us.hooks["CreateGeneration"] = in_turn(dropped(grpc.StatusCode.UNAVAILABLE), poor)
    assert (await world.create()).json()["error"]["code"] == "BSE1004"


async def test_a_refusal_by_the_region_is_not_asked_again(world: World) -> None:
    world.us.hooks["CreateGeneration"] = failing(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE)
    reply = await world.create()
    assert reply.json()["error"]["retryable"] is True
    assert "details" not in reply.json()["error"]
    assert len(world.us.requests("CreateGeneration")) == 1


async def test_a_server_that_dies_in_mid_call_and_comes_back_is_asked_again(world: World) -> None:
    revived: list[grpc.aio.Server] = []

    async def die_once(_request: Any, _context: Any) -> None:
        world.us.hooks.clear()
        reborn = asyncio.create_task(rebirth())
        await asyncio.shield(reborn)

    async def rebirth() -> None:
        await world.us_server.stop(None)
        revived.append(await fake_region.start(world.us))

    world.us.hooks["CreateGeneration"] = die_once
    reply = await world.create()
    assert reply.status_code == 200, reply.text
    assert len(world.us.requests("CreateGeneration")) == 2
    assert len(world.us.admitted) == 1
    for server in revived:
        await server.stop(None)


@pytest.mark.parametrize("key", ["a", "A-1_b:c.d", "x" * 255])
async def test_a_well_formed_idempotency_key_reaches_the_region(world: World, key: str) -> None:
    reply = await world.client.post(IMAGE, json=PROMPT, headers={"Idempotency-Key": key})
    assert reply.status_code == 200
    assert world.us.requests("CreateGeneration")[0].idempotency_key == key


@pytest.mark.parametrize("keys", [[""], ["a b"], ["x" * 256], ["schlüssel"], ["a/b"], ["one", "two"]])
async def test_a_malformed_idempotency_key_is_refused(world: World, keys: list[str]) -> None:
    headers = [(b"Idempotency-Key", key.encode()) for key in keys]
    reply = await world.client.post(IMAGE, json=PROMPT, headers=[*headers, *world.client.headers.raw])
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "BSE2001")
    assert reply.json()["error"]["details"] == {"field": "Idempotency-Key"}
    assert world.us.admitted == {}
