"""One adapter alone, pointed at a host that answers what a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import SecretStr

from babysea.generation.v1.generation_service_pb2 import CreateGenerationRequest
from kit.ids import uuid7
from server.catalog import Catalog, ProviderInfo, load_catalog
from server.generation.request import normalise
from server.providers.http import ProviderHttp
from server.providers.protocol import Adapter, Job, Progress, ProviderRef, Submission
from tests.integration.providers.canned import canned, reply

HTML = b"<html>bad gateway</html>"
NO_USABLE_ANSWER = (
    b"",
    b"HTTP/1.1 200 O",
    b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
    b"nonsense\r\n\r\n",
    reply("200 OK", b"not json"),
    reply("200 OK", b"[]"),
    reply("200 OK", b"{}"),
    reply("200 OK", b'{"id": 5, "output": [], "task_id": 5}'),
    reply("200 OK", b'{"id": "../../other", "output": {"task_id": "../../other"}}'),
    reply("200 OK", b'{"id": "", "output": {"task_id": "a b"}}'),
    reply("200 OK", b'{"x": "' + b"y" * 1_100_000 + b'"}'),
    reply("502 Bad Gateway", HTML),
    reply("504 Gateway Timeout", HTML),
    reply("524 Timeout", HTML),
)
"""After each of these a submit may have made a job, and nobody knows which."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    """Read from JSON; None without a body."""


@dataclass(frozen=True, slots=True)
class Provider:
    """How one provider's adapter is made."""

    provider_id: str
    make: Callable[[ProviderHttp, ProviderInfo], Adapter]
    scheme: str = "Bearer"
    header: str = "Authorization"
    below: str = ""
    credential: str = "very-secret-key"

    @asynccontextmanager
    async def at(self, url: str, **http: Any) -> AsyncIterator[Adapter]:
        """The adapter, calling that host."""
        client = ProviderHttp(
            self.provider_id,
            url + self.below,
            self.scheme,
            SecretStr(self.credential),
            header=self.header,
            **({"call_seconds": 5.0} | http),
        )
        try:
            yield self.make(client, catalog().provider(self.provider_id))
        finally:
            await client.aclose()

    @asynccontextmanager
    async def answering(self, *answers: bytes, **http: Any) -> AsyncIterator[tuple[Adapter, list[bytes]]]:
        """The adapter before a host that gives these answers in turn, and what arrived there."""
        async with canned(*answers) as (url, seen), self.at(url, **http) as adapter:
            yield adapter, seen

    async def submitted(self, job: Job, *answers: bytes) -> tuple[Submission, Sent]:
        """What became of a submit, and the one request that was sent."""
        async with self.answering(*answers) as (adapter, seen):
            submission = await adapter.submit(job)
        assert len(seen) == 1
        return submission, sent(seen[0])

    async def polled(self, ref: ProviderRef, *answers: bytes) -> tuple[Progress, list[Sent]]:
        """What a poll found, and the requests that were sent."""
        async with self.answering(*answers) as (adapter, seen):
            progress = await adapter.poll(ref)
        return progress, [sent(each) for each in seen]

    def job(self, model: str, prompt: str = "a red cube", **fields: Any) -> Job:
        """A job as the executor makes it, for one output unless `outputs` says more."""
        found = catalog().model(model)
        outputs = fields.pop("outputs", 1)
        if found.durations:
            fields.setdefault("duration", found.durations[0])
        extras = fields.pop("extras", {})
        message = CreateGenerationRequest(
            model_identifier=model, media=found.media_value, prompt=prompt, **fields
        )
        message.extras.update(extras)
        request = normalise(catalog(), message)
        return Job(uuid7(), request, found, found.provider(self.provider_id), outputs)


@cache
def catalog() -> Catalog:
    """The catalog as it is."""
    return load_catalog()


@asynccontextmanager
async def answered(respond: Callable[[Sent, str], bytes]) -> AsyncIterator[str]:
    """A host that answers each request with what a function makes of it and of the host's URL; its URL."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(respond(sent(head), url))
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield url


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """A host that reads and never answers; its URL."""

    calls: list[asyncio.Event] = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(over := asyncio.Event())
        # Until the other side has had enough.
        await reader.read(-1)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for over in calls:
            await over.wait()


def sent(raw: bytes) -> Sent:
    """A request from its bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Sent(method, path, headers, json.loads(body) if body else None)


def says(body: object, status: str = "200 OK", *headers: str) -> bytes:
    """An answer with a JSON body."""
    return reply(status, json.dumps(body).encode(), "content-type: application/json", *headers)
