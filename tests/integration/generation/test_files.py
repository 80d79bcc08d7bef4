"""Output files: signed, streamed by the region, readable in parts."""

from __future__ import annotations

import hashlib
import io
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest
from PIL import Image

from babysea.generation.v1 import generation_service_pb2, generation_service_pb2_grpc
from kit.rpc import SERVICE_TOKEN, error_of
from tests.support.stack import Customer, Stack


async def read(stack: Stack, url: str, **changes: object) -> tuple[generation_service_pb2.FileFacts, bytes]:
    """Facts and bytes of a file, as the gateway reads them."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    values: dict[str, object] = {
        "file_token": parts.path.rsplit("/", 1)[-1],
        "expires": int(query["expires"][0]),
        "signature": query["signature"][0],
    }
    request = generation_service_pb2.ReadFileRequest(**{**values, **changes})  # type: ignore[arg-type]
    stub = generation_service_pb2_grpc.FileServiceStub(stack.channel)
    facts, content = generation_service_pb2.FileFacts(), b""
    async for part in stub.ReadFile(request, metadata=((SERVICE_TOKEN, stack.service_token),)):
        if part.HasField("facts"):
            facts = part.facts
        content += part.chunk
    return facts, content


@pytest.fixture
async def url(customer: Customer) -> str:
    """The URL of a finished image."""
    created = await customer.create(output_format="png")
    record = await customer.finished(created.generation.generation_id)
    return record.generation.outputs[0].url


async def test_a_file_is_whole_and_is_what_was_asked(stack: Stack, url: str) -> None:
    facts, content = await read(stack, url)
    assert (facts.content_type, facts.size_bytes) == ("image/png", len(content))
    assert facts.sha256 == hashlib.sha256(content).digest()
    assert Image.open(io.BytesIO(content)).format == "PNG"


async def test_parts_of_a_file_are_the_parts(stack: Stack, url: str) -> None:
    _, whole = await read(stack, url)
    size = len(whole)
    assert (await read(stack, url, offset=10, length=20))[1] == whole[10:30]
    assert (await read(stack, url, offset=size - 5))[1] == whole[-5:]
    assert (await read(stack, url, suffix_length=7))[1] == whole[-7:]
    assert (await read(stack, url, suffix_length=size * 2))[1] == whole
    facts, content = await read(stack, url, length=-1)
    assert (content, facts.size_bytes) == (b"", size)
    facts, content = await read(stack, url, offset=size + 10)
    assert (content, facts.length) == (b"", 0)


async def test_an_altered_or_expired_url_is_not_found(stack: Stack, url: str) -> None:
    for changes in ({"expires": 4102444800}, {"signature": "x"}, {"file_token": "AAAA"}):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read(stack, url, **changes)
        assert error_of(caught.value).spec.bse_code == "BSE2017"
