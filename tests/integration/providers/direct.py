"""One adapter alone, pointed at a host that answers with prepared bytes, and what that host was sent."""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
import functools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from hypothesis import strategies as st
from pydantic import SecretStr

from babysea.generation.v1.generation_service_pb2 import CreateGenerationRequest
from kit.ids import uuid7
from server.catalog import Catalog, load_catalog
from server.catalog.types import ProviderInfo
from server.generation.request import normalise
from server.providers.http import ProviderHttp
from server.providers.protocol import Job
from tests.integration.providers.canned import canned, reply

CREDENTIAL = "very-secret-credential"
PROMPT = "secret-word in a prompt"
T = TypeVar("T")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
"""Any JSON at all."""


def objects(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects that have some of these fields, with anything in them."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, JSON))


@dataclass(frozen=True)
class Call:
    """What the host was sent."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, sent: bytes) -> Call:
        head, _, body = sent.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, target, _ = first.split(" ")
        parts = urlsplit(target)
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return cls(method, unquote(parts.path), parse_qs(parts.query), headers, body)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> list[tuple[str, str | None, str, bytes]]:
        """Name, file name, content type and content of each part."""
        head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + self.body)
        assert message.is_multipart()
        return [
            (
                str(part.get_param("name", header="content-disposition")),
                part.get_filename(),
                part.get_content_type(),
                part.get_content() if part.get_filename() else part.get_content().encode(),
            )
            for part in message.iter_parts()
        ]


@functools.cache
def catalog() -> Catalog:
    """The shipped catalog."""
    return load_catalog()


def job_for(provider: str, model: str, outputs: int = 1, **fields: Any) -> Job:
    """A job as the executor makes it."""
    found = catalog().model(model)
    if found.durations:
        fields.setdefault("duration", found.durations[0])
    extras = fields.pop("extras", {})
    message = CreateGenerationRequest(
        model_identifier=model, media=found.media_value, prompt=PROMPT, output_number=outputs, **fields
    )
    message.extras.update(extras)
    request = normalise(catalog(), message)
    return Job(uuid7(), request, found, found.provider(provider), outputs=outputs, seconds=5.0)


@asynccontextmanager
async def adapter_at(
    url: str, make: Callable[[ProviderHttp, ProviderInfo], T], provider: str, call_seconds: float = 5.0
) -> AsyncIterator[T]:
    """The adapter, with its API at that URL."""
    http = ProviderHttp(provider, url, "Bearer", SecretStr(CREDENTIAL), call_seconds=call_seconds)
    try:
        yield make(http, catalog().provider(provider))
    finally:
        await http.aclose()


@asynccontextmanager
async def answered(
    make: Callable[[ProviderHttp, ProviderInfo], T],
    provider: str,
    answers: Sequence[bytes],
    base: str = "",
) -> AsyncIterator[tuple[T, list[bytes]]]:
    """The adapter at a host with these answers, the last one for ever, and what the host read."""
    async with canned(*answers) as (url, seen), adapter_at(url + base, make, provider) as adapter:
        yield adapter, seen


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """A host that takes a request and never answers; its URL."""
    over = asyncio.Event()

    async def keep_quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(keep_quiet, "127.0.0.1", 0)
    async with server:
        try:
            # A call that waits for an answer after all must fail its test, and not stop the run.
            async with asyncio.timeout(30):
                yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            over.set()


def said(status: int, body: object, *headers: str) -> bytes:
    """An answer with a JSON body."""
    return reply(f"{status} Status", json.dumps(body).encode(), "content-type: application/json", *headers)
