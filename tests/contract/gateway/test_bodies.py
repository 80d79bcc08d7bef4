"""Hostile and careless bodies: each is refused by name, none is admitted, none is a 500."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.body import MAX_BYTES
from tests.contract.gateway.conftest import IMAGE, PROMPT, VIDEO, World
from tests.contract.gateway.fake_region import KEY


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe{}",
        b'\xef\xbb\xbf{"generation_prompt":"a"}',
        b'{"generation_prompt":"\xff"}',
        b'{"generation_prompt":"a"} trailing',
        b'{"generation_prompt":"a\\u0000b"}',
        b'{"generation_prompt":"a\\ud800"}',
        b'{"generation_prompt":"a\\udc00b"}',
        b'{"generation_prompt":"a","generation_x":NaN}',
        b'{"generation_prompt":"a","generation_x":Infinity}',
        b'{"generation_prompt":"a","generation_x":1e999}',
        b'{"generation_prompt":"a","generation_x":1' + b"0" * 400 + b"}",
        b'{"generation_prompt":"a","generation_x":' + b"9" * 5000 + b"}",
        b'{"generation_prompt":"a","generation_prompt":"b"}',
        b'{"generation_prompt":"a","generation_x":{"y":1,"y":2}}',
        b'{"generation_prompt":"a","generation_x":' + b"[" * 40_000 + b"]" * 40_000 + b"}",
        b'{"generation_prompt":"a","generation_x":' + b'{"a":' * 15_000 + b"1" + b"}" * 15_000 + b"}",
        b'{"generation_prompt":"a","generation_x":' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"generation_prompt":"a","generation_\\u0000":1}',
        b'{"generation_prompt":"a","generation_x":{"\\ud800":1}}',
    ],
)
async def test_a_body_that_is_no_plain_json_object_is_refused(world: World, body: bytes) -> None:
    reply = await world.client.post(IMAGE, content=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "BSE2001"), reply.text
    assert world.us.admitted == {}


@pytest.mark.parametrize(
    ("path", "change", "field"),
    [
        (IMAGE, {"generation_prompt": 5}, "generation_prompt"),
        (IMAGE, {"generation_prompt": None}, "generation_prompt"),
        (IMAGE, {"generation_ratio": None}, "generation_ratio"),
        (IMAGE, {"generation_output_number": "1"}, "generation_output_number"),
        (IMAGE, {"generation_output_number": True}, "generation_output_number"),
        (IMAGE, {"generation_output_number": 1.5}, "generation_output_number"),
        (IMAGE, {"generation_output_number": None}, "generation_output_number"),
        (IMAGE, {"generation_input_file": "https://example.com"}, "generation_input_file"),
        (IMAGE, {"generation_input_file": [1]}, "generation_input_file"),
        (IMAGE, {"generation_provider_order": ["fal"]}, "generation_provider_order"),
        (IMAGE, {"generation_resolution": "720p"}, "generation_resolution"),
        (IMAGE, {"generation_generate_audio": True}, "generation_generate_audio"),
        (IMAGE, {"prompt": "a"}, "prompt"),
        (IMAGE, {"generation_": 1}, "generation_"),
        (IMAGE, {"generation_quote_id": "q"}, "generation_quote_id"),
        (IMAGE, {"generation_content_policy_failover": "yes"}, "generation_content_policy_failover"),
        (IMAGE, {"generation_deadline_seconds": "5"}, "generation_deadline_seconds"),
        (IMAGE, {"generation_deadline_seconds": 1.5}, "generation_deadline_seconds"),
        (IMAGE, {"generation_deadline_seconds": None}, "generation_deadline_seconds"),
        (VIDEO, {"generation_duration": "5"}, "generation_duration"),
        (VIDEO, {"generation_duration": 5, "generation_generate_audio": "true"}, "generation_generate_audio"),
        (
            VIDEO,
            {"generation_duration": 5, "generation_input_file_last_content": []},
            "generation_input_file_last_content",
        ),
    ],
)
async def test_a_wrong_field_is_refused_by_name(
    world: World, path: str, change: dict[str, Any], field: str
) -> None:
    reply = await world.client.post(path, json={**PROMPT, **change})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "BSE2001"), reply.text
    assert reply.json()["error"]["details"] == {"field": field}
    assert world.us.admitted == {}


async def test_a_missing_prompt_is_refused_by_name(world: World) -> None:
    error = (await world.client.post(IMAGE, json={})).json()["error"]
    assert error["details"] == {"field": "generation_prompt"}
    assert error["message"] == "generation_prompt is required."


async def test_a_number_beyond_32_bits_is_left_to_the_region_to_refuse(world: World) -> None:
    await world.create(generation_output_number=2**40)
    assert world.us.requests("CreateGeneration")[0].output_number == 2**31 - 1


async def test_a_body_of_exactly_100_kb_is_read_and_one_byte_more_is_not(world: World) -> None:
    frame = len(json.dumps(PROMPT | {"generation_x": ""}, separators=(",", ":")))
    for size, status in ((MAX_BYTES, 200), (MAX_BYTES + 1, 413)):
        body = json.dumps(PROMPT | {"generation_x": "x" * (size - frame)}, separators=(",", ":")).encode()
        assert len(body) == size
        reply = await world.client.post(IMAGE, content=body)
        assert reply.status_code == status, reply.text
    assert reply.json()["error"]["code"] == "BSE2010"


async def test_a_chunked_body_over_the_limit_is_refused(world: World) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 10_000

    reply = await world.client.post(IMAGE, content=chunks())
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "BSE2010")
    assert (await world.create()).status_code == 200


async def test_a_chunked_body_without_an_end_is_answered_and_cut_off(world: World) -> None:
    address = urlsplit(world.urls["us"])
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST {IMAGE} HTTP/1.1\r\nHost: x\r\nAuthorization: {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())

    async def endless() -> None:
        while True:
            writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
            await writer.drain()

    sending = asyncio.create_task(endless())
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)).startswith(b"HTTP/1.1 413 ")
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(sending, 10)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_an_announced_size_over_the_limit_is_refused_before_the_body_comes(world: World) -> None:
    address = urlsplit(world.urls["us"])
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = (
        f"POST {IMAGE} HTTP/1.1\r\nHost: x\r\nAuthorization: {KEY}\r\nContent-Length: 99999999999999999\r\n"
    )
    writer.write(head.encode() + b"Expect: 100-continue\r\n\r\n")
    reply = await asyncio.wait_for(reader.read(), 10)
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"BSE2010" in reply
    writer.close()
    await writer.wait_closed()
