"""The outside world of the adapter tests: the sandbox with a clock moved by hand, and a host that answers anything."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr

from babysea.generation.v1.generation_service_pb2 import CreateGenerationRequest
from kit.ids import uuid7
from kit.settings import Settings
from sandbox.app import create_app
from sandbox.config import KEEP_ALIVE_SECONDS, SandboxConfig
from server.catalog import Catalog
from server.generation.request import normalise
from server.providers.protocol import Adapter, Job
from server.providers.registry import Providers, open_providers
from tests.integration.providers.canned import answering, canned, closed_port, reply

__all__ = [
    "IMAGE",
    "KEY",
    "TOKEN",
    "VIDEO",
    "HandClock",
    "Outside",
    "adapter",
    "answering",
    "canned",
    "closed_port",
    "reply",
    "serve_sandbox",
]

TOKEN, KEY = "r8_very_secret_token", "kid:very_secret_key"
IMAGE, VIDEO = "bfl/flux-schnell", "google/veo-3.1-fast"


class HandClock:
    """The sandbox's time, which moves only when a test says so."""

    def __init__(self) -> None:
        self.at = time.time()

    def __call__(self) -> float:
        return self.at


@contextmanager
def serve_sandbox(clock: HandClock) -> Iterator[str]:
    """A sandbox on a free port of loopback; its URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # Who calls before the server is ready waits, instead of being refused.
    listener.listen()
    config = uvicorn.Config(
        create_app(SandboxConfig(clock=clock, keep_bodies=True)),
        access_log=False,
        log_level="critical",
        # It would be the machine's, which the hand's time contradicts.
        date_header=False,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


class Outside:
    """A running sandbox and the platform's adapters pointed at it."""

    def __init__(self, url: str, clock: HandClock, http: httpx.AsyncClient, catalog: Catalog) -> None:
        self.url = url
        self.clock = clock
        self.catalog = catalog
        self._http = http

    @asynccontextmanager
    async def providers(
        self, *, base: str | None = None, call_seconds: float = 10.0, token: str = TOKEN, key: str = KEY
    ) -> AsyncIterator[Providers]:
        """The adapters; `base` points both somewhere else than at the sandbox."""
        settings = Settings(
            replicate_base_url=base or f"{self.url}/replicate",
            fal_base_url=base or f"{self.url}/fal",
            replicate_token=SecretStr(token),
            fal_key=SecretStr(key),
        )
        providers = open_providers(settings, self.catalog, call_seconds=call_seconds)
        try:
            yield providers
        finally:
            await providers.aclose()

    def job(self, provider: str, model: str = IMAGE, prompt: str = "a red cube", **fields: Any) -> Job:
        """A job as the executor makes it."""
        found = self.catalog.model(model)
        if found.durations:
            fields.setdefault("duration", found.durations[0])
        extras = fields.pop("extras", {})
        message = CreateGenerationRequest(
            model_identifier=model, media=found.media_value, prompt=prompt, **fields
        )
        message.extras.update(extras)
        request = normalise(self.catalog, message)
        return Job(uuid7(), request, found, found.provider(provider))

    async def knobs(self, provider: str, **wanted: Any) -> None:
        """Changes how a provider behaves."""
        answer = await self._http.put(f"/_sandbox/knobs/{provider}", json=wanted)
        assert answer.status_code == 200, answer.text

    async def log(self) -> list[dict[str, Any]]:
        """What was submitted."""
        entries: list[dict[str, Any]] = (await self._http.get("/_sandbox/log")).json()["entries"]
        return entries

    async def reset(self) -> None:
        """Forgets knobs, jobs and log."""
        await self._http.post("/_sandbox/reset")

    def pass_time(self, seconds: float = 60.0) -> None:
        """Lets every job come to its end."""
        self.clock.at += seconds


def adapter(providers: Providers, provider: str) -> Adapter:
    """The adapter of that id."""
    found = providers.get(provider)
    assert found is not None
    return found
