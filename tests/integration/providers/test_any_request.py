"""Whatever a customer may ask for is said to each provider in words that its strict schema takes: over HTTP, by the adapters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image

from babysea.generation.v1.generation_service_pb2 import CreateGenerationRequest
from kit.ids import uuid7
from server.catalog import Model
from server.generation.request import normalise
from server.providers.protocol import InputFile, Job, Refused
from server.providers.registry import Providers, open_providers
from server.providers.serving import why_not
from tests.integration.providers.outside import HandClock, serve_sandbox
from tests.sdk.adapters import sandboxed
from tests.support.requests import CATALOG, PROMPT_MOST, allowed

REQUESTS = 1000
_CHECK_ALONE = " [[refuse=unavailable]]"
"""Asks the sandbox to refuse the job once it has found nothing wrong with the request."""


class Asking:
    """The adapters, and what the sandbox said about what they sent."""

    def __init__(self, providers: Providers, http: httpx.AsyncClient, file: Path) -> None:
        self._providers = providers
        self._http = http
        self._file = file
        self._position = 0
        self.asked: Counter[str] = Counter()

    async def ask(self, model: Model, message: CreateGenerationRequest) -> None:
        """Says a request to every provider that can serve it."""
        message.prompt = message.prompt[: PROMPT_MOST - len(_CHECK_ALONE)] + _CHECK_ALONE
        request = normalise(CATALOG, message)
        files = tuple(InputFile(self._file, "image/png", 64, 64, url=url) for url in request.input_file)
        for provider in model.providers:
            if why_not(provider, request) is not None:
                continue
            adapter = self._providers.get(provider.provider_id)
            assert adapter is not None
            job = Job(uuid7(), request, model, provider, callback_url=None, inputs=files)
            submission = await adapter.submit(replace(job, outputs=request.output_number))
            told = await self._told()
            assert told == {"refused"}, (provider.provider_id, told)
            assert isinstance(submission, Refused), provider.provider_id
            self.asked[provider.provider_id] += 1

    async def _told(self) -> set[str]:
        answer = (await self._http.get("/_sandbox/log", params={"since": self._position})).json()
        self._position = answer["last"]
        return {str(entry["outcome"]) for entry in answer["entries"]}


@asynccontextmanager
async def asking(url: str, file: Path) -> AsyncIterator[Asking]:
    """The adapters at that sandbox."""
    providers = open_providers(sandboxed(url), CATALOG)
    async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as http:
        try:
            yield Asking(providers, http, file)
        finally:
            await providers.aclose()


async def test_the_longest_prompts_pass_the_strict_schema_wherever_they_are_sent(tmp_path: Path) -> None:
    with serve_sandbox(HandClock()) as url:
        async with asking(url, tmp_path) as asked:
            for model in CATALOG.models.values():
                for most in sorted({provider.prompt_max or PROMPT_MOST for provider in model.providers}):
                    await asked.ask(model, _with_prompt_of(model, most))
    assert set(asked.asked) == set(CATALOG.providers)


def _with_prompt_of(model: Model, length: int) -> CreateGenerationRequest:
    return CreateGenerationRequest(
        model_identifier=model.identifier,
        media=model.media_value,
        prompt="x" * (length - len(_CHECK_ALONE)),
        duration=model.durations[0] if model.durations else None,
    )


@pytest.mark.timeout(300)
def test_every_native_request_passes_the_strict_schema(tmp_path: Path) -> None:
    file = tmp_path / "in.png"
    Image.new("RGB", (64, 64), "red").save(file)
    with serve_sandbox(HandClock()) as url, asyncio.Runner() as runner:
        context = asking(url, file)
        asked = runner.run(context.__aenter__())

        @given(allowed())
        @settings(
            max_examples=REQUESTS, deadline=None, suppress_health_check=list(HealthCheck), database=None
        )
        def each(case: tuple[Model, CreateGenerationRequest]) -> None:
            runner.run(asked.ask(*case))

        try:
            each()
        finally:
            runner.run(context.__aexit__(None, None, None))
    assert set(asked.asked) == set(CATALOG.providers)
    assert sum(asked.asked.values()) >= REQUESTS
