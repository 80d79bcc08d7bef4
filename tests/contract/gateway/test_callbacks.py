"""Reports of providers reach the region unread, and their answer tells nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from babysea.common.v1 import error_reason_pb2
from gateway.callbacks import MAX_BYTES
from kit import rpc
from tests.contract.gateway.conftest import World, running
from tests.contract.gateway.fake_region import TOKEN, failing

ADDRESS = "AZNQAAAAcACAAAAAAAAAA-_0123456789abcdefghij"
BODY = b'{"id": 1, "twice": true, "twice": false}\n\xff'
SIGNED = {"webhook-id": "msg_1", "webhook-timestamp": "1763775730", "webhook-signature": "v1,AAAA v1,BBBB"}


async def report(
    world: World, provider: str = "replicate", address: str = ADDRESS, **more: Any
) -> httpx.Response:
    """A report as a provider sends it: without a key."""
    world.client.headers.pop("authorization", None)
    more.setdefault("content", BODY)
    more.setdefault("headers", SIGNED)
    return await world.client.post(f"/v1/callbacks/{provider}/{address}", **more)


async def test_a_report_arrives_in_the_region_byte_for_byte_with_its_signature_alone(world: World) -> None:
    headers = {**SIGNED, "authorization": "Bearer bye_us_x", "cookie": "a=b", "x-fal-webhook-user-id": "u"}
    reply = await report(world, headers=headers)
    assert reply.status_code == 200
    (seen,) = world.us.requests("ReceiveCallback")
    assert (seen.provider, seen.token, seen.body) == ("replicate", ADDRESS, BODY)
    assert {header.name: header.value for header in seen.headers} == SIGNED
    metadata = world.us.metadata("ReceiveCallback")
    assert metadata[rpc.SERVICE_TOKEN] == TOKEN
    assert "authorization" not in metadata
    assert world.eu.seen == []


@pytest.mark.parametrize(
    ("provider", "name"),
    [("bfl", "x-bfl-signature"), ("fal", "x-fal-webhook-signature"), ("replicate", "webhook-signature")],
)
async def test_each_provider_has_signature_headers_of_its_own(world: World, provider: str, name: str) -> None:
    every = {"x-bfl-signature": "1", "x-fal-webhook-signature": "2", "webhook-signature": "3"}
    await report(world, provider, headers=every)
    (seen,) = world.us.requests("ReceiveCallback")
    assert [header.name for header in seen.headers] == [name]


async def test_a_signature_given_twice_arrives_twice(world: World) -> None:
    twice = [("webhook-id", "a"), ("webhook-id", "b"), ("webhook-id", "c")]
    await report(world, headers=twice)
    (seen,) = world.us.requests("ReceiveCallback")
    assert [header.value for header in seen.headers] == ["a", "b"]


async def test_the_answer_is_the_envelope_and_says_nothing(world: World) -> None:
    reply = (await report(world)).json()
    assert (reply["status"], reply["data"]) == ("success", {"received": True})


@pytest.mark.parametrize(
    ("provider", "address"),
    [
        ("openai", ADDRESS),
        ("unknown", ADDRESS),
        ("Replicate", ADDRESS),
        ("replicate", "short"),
        ("replicate", "A" * 101),
        ("replicate", ADDRESS[:-1] + "."),
        ("replicate", ADDRESS[:-1] + "%2F"),
    ],
)
async def test_an_address_that_cannot_be_ours_is_404_and_never_asks_the_region(
    world: World, provider: str, address: str
) -> None:
    reply = await report(world, provider, address)
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "BSE2017")
    assert world.us.seen == []


async def test_only_a_post_reports(world: World) -> None:
    reply = await world.client.get(f"/v1/callbacks/replicate/{ADDRESS}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (405, "BSE2019")


async def test_a_megabyte_is_passed_on_and_a_byte_more_is_not(world: World) -> None:
    assert (await report(world, content=b"x" * MAX_BYTES)).status_code == 200
    reply = await report(world, content=b"x" * (MAX_BYTES + 1))
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "BSE2010")
    assert len(world.us.requests("ReceiveCallback")) == 1


async def test_when_the_region_is_down_the_provider_shall_come_again(world: World) -> None:
    await world.us_server.stop(None)
    reply = await report(world)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "BSE5002")
    assert reply.json()["error"]["retryable"] is True


@pytest.mark.parametrize(
    "reason",
    [
        error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE,
        error_reason_pb2.ERROR_REASON_INTERNAL_ERROR,
        error_reason_pb2.ERROR_REASON_AUTHENTICATION_REQUIRED,
        error_reason_pb2.ERROR_REASON_NOT_FOUND,
    ],
)
async def test_whatever_the_region_objects_to_is_no_fault_of_the_provider(world: World, reason: Any) -> None:
    world.us.hooks["ReceiveCallback"] = failing(reason)
    for _ in range(40):
        # Nor does it count as a failed attempt of its address.
        assert (await report(world)).status_code == 503


async def test_a_changed_service_token_is_read_again(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        assert (await report(world)).status_code == 200
        (tmp_path / "service.token").write_text("another token that is wrong\n")
        assert (await report(world)).status_code == 503
        (tmp_path / "service.token").write_text(TOKEN + "\n")
        assert (await report(world)).status_code == 200


async def test_neither_log_nor_span_holds_the_address_or_the_report(
    world: World, caplog: pytest.LogCaptureFixture, spans: Path
) -> None:
    with caplog.at_level(logging.INFO):
        await report(world)
        await report(world, address=ADDRESS[:-1] + ".")
        await report(world, content=b"x" * (MAX_BYTES + 1))
    # httpx is this test; the web server's own log is turned off, and comes back by the handler that looks here.
    ours = [record for record in caplog.records if record.name not in ("httpx", "uvicorn.access")]
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in ours)
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.force_flush()
    traced = "\n".join(path.read_text() for path in spans.rglob("*") if path.is_file())
    assert "/v1/callbacks/{provider}/{token}" in logged
    assert "/v1/callbacks/{provider}/{token}" in traced
    for said in (logged, traced):
        assert ADDRESS[:-1] not in said
        assert "v1,AAAA" not in said


async def test_the_public_description_says_nothing_of_it(world: World) -> None:
    assert "callbacks" not in (await world.client.get("/openapi.json")).text
