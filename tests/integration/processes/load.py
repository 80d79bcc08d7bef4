"""Customers in a hurry: many creates at once through the gateway, and what each of them was told."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

CREATE = "/v1/generate/image/bfl/flux-schnell"


@dataclass(frozen=True)
class Answer:
    """What one POST got: the key that it named itself by, its status (0 without any), and its body."""

    key: str
    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def generation_id(self) -> str:
        """The admitted generation; empty where there was none."""
        return str(self.body["data"]["generation_id"]) if self.status == 200 else ""

    @property
    def retryable(self) -> bool:
        """Whether the service says that repeating is safe and useful."""
        return bool(self.body.get("error", {}).get("retryable"))


@dataclass
class Load:
    """Requests that go on until they are told to stop."""

    client: httpx.AsyncClient
    creates: list[Answer] = field(default_factory=list)
    reads: list[Answer] = field(default_factory=list)
    pause: float = 0.0
    """Seconds between an answer and the next create of the same customer."""
    ending: bool = False

    async def answered(self, count: int) -> None:
        """Waits until that many more creates were answered."""
        wanted = len(self.creates) + count
        async with asyncio.timeout(60):
            while len(self.creates) < wanted:
                await asyncio.sleep(0.01)

    async def create(self, key: str | None = None) -> Answer:
        """One POST."""
        key = key or secrets.token_hex(12)
        return await self.ask("POST", CREATE, key, json={"generation_prompt": "a lighthouse at dusk"})

    async def ask(self, method: str, path: str, key: str, **more: Any) -> Answer:
        """One request; a connection that breaks is status 0."""
        try:
            reply = await self.client.request(method, path, headers={"Idempotency-Key": key}, **more)
        except httpx.TransportError as error:
            return Answer(key, 0, {"transport": type(error).__name__})
        return Answer(key, reply.status_code, reply.json(), dict(reply.headers))

    async def _creating(self) -> None:
        while not self.ending:
            self.creates.append(await self.create())
            await asyncio.sleep(self.pause)

    async def _reading(self) -> None:
        while not self.ending:
            self.reads.append(await self.ask("GET", "/v1/user/billing", "-"))


def client_of(region: dict[str, Any], connections: int = 64) -> httpx.AsyncClient:
    """A client with the bootstrap key of a region."""
    return httpx.AsyncClient(
        base_url=region["api"],
        headers={"Authorization": f"Bearer {region['api_key']}"},
        timeout=30,
        trust_env=False,
        limits=httpx.Limits(max_connections=connections),
    )


@asynccontextmanager
async def load(
    region: dict[str, Any], *, creating: int = 8, reading: int = 4, pause: float = 0.0
) -> AsyncIterator[Load]:
    """Customers who create, with or without a pause, and who read without one; leaving lets their last requests end."""
    async with client_of(region) as client:
        running = Load(client, pause=pause)
        tasks = [asyncio.create_task(running._creating()) for _ in range(creating)]
        tasks += [asyncio.create_task(running._reading()) for _ in range(reading)]
        try:
            yield running
        finally:
            running.ending = True
            await asyncio.gather(*tasks)


def failed(answers: list[Answer]) -> list[tuple[int, dict[str, Any]]]:
    """The answers that are no success."""
    return [(answer.status, answer.body) for answer in answers if answer.status != 200]


def calls_in(lines: list[str], method: str = "") -> Counter[str]:
    """Calls that a server answered, by gRPC code, from lines of its own log; of one method or of all."""
    found: Counter[str] = Counter()
    for line in lines:
        if line.startswith("{"):
            fact = json.loads(line)
            if fact["message"] == "call" and fact["method"].endswith(f"/{method}" if method else ""):
                found[fact["code"]] += 1
    return found
