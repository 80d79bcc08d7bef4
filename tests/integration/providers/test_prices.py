"""What the sandbox bills for any request that a provider serves is what the catalog expects it to bill."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from babysea.generation.v1.generation_service_pb2 import CreateGenerationRequest
from kit.ids import uuid7
from server.catalog import Model, ProviderModel
from server.catalog.upstream import upstream_micros
from server.generation.request import GenerationRequest, normalise
from server.providers.protocol import InputFile, Job
from server.providers.registry import Providers, open_providers
from server.providers.serving import why_not
from tests.integration.providers.outside import HandClock, serve_sandbox
from tests.sdk.adapters import sandboxed
from tests.support.requests import CATALOG

_FILE = "https://example.com/a.png"
_PRICED_AT_ONCE = {"latency_ms": [0, 0], "output": "missing"}
"""Jobs that end as they begin, and no picture that would have to be made for an answer."""


@dataclass
class Till:
    """The adapters, and what the sandbox bills for what they submit."""

    providers: Providers
    http: httpx.AsyncClient
    clock: HandClock
    file: Path
    position: int = 0

    async def bills(self, model: Model, provider: ProviderModel, request: GenerationRequest) -> int:
        """What it costs to have a provider do a request, in micro-dollars."""
        adapter = self.providers.get(provider.provider_id)
        assert adapter is not None
        files = tuple(InputFile(self.file, "image/png", 64, 64, url=url) for url in request.input_file)
        job = Job(uuid7(), request, model, provider, callback_url=None, inputs=files)
        await adapter.submit(replace(job, outputs=request.output_number))
        self.clock.at += 1
        answer = (await self.http.get("/_sandbox/log", params={"since": self.position})).json()
        self.position = answer["last"]
        assert {entry["outcome"] for entry in answer["entries"]} == {"accepted"}
        return sum(entry["billable"] for entry in answer["entries"])


@pytest.mark.timeout(300)
def test_the_sandbox_bills_what_the_catalog_expects_to_pay(tmp_path: Path) -> None:
    file = tmp_path / "in.png"
    Image.new("RGB", (64, 64), "red").save(file)
    clock = HandClock()
    with serve_sandbox(clock) as url:
        differences, known = asyncio.run(_compared(url, clock, file))
    assert differences == []
    assert known == {provider for model in CATALOG.models.values() for provider in model.provider_ids}


async def _compared(url: str, clock: HandClock, file: Path) -> tuple[list[str], set[str]]:
    differences, known = [], set()
    providers = open_providers(sandboxed(url), CATALOG)
    async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as http:
        for provider_id in CATALOG.providers:
            (await http.put(f"/_sandbox/knobs/{provider_id}", json=_PRICED_AT_ONCE)).raise_for_status()
        till = Till(providers, http, clock, file)
        for model, provider, request in _requests():
            expected = upstream_micros(provider, request, request.output_number)
            if expected is None:
                continue
            known.add(provider.provider_id)
            billed = await till.bills(model, provider, request)
            if billed != expected:
                differences.append(
                    f"{provider.provider_id} bills {billed} and not {expected} for {request.to_json()!r}"
                )
    await providers.aclose()
    return differences, known


def _requests() -> Iterator[tuple[Model, ProviderModel, GenerationRequest]]:
    for model in CATALOG.models.values():
        for provider in model.providers:
            formats = provider.formats or model.formats
            for asked in _shapes(model):
                message = CreateGenerationRequest(
                    model_identifier=model.identifier,
                    media=model.media_value,
                    prompt="a red cube",
                    output_format=formats[0],
                    **asked,
                )
                request = normalise(CATALOG, message)
                if why_not(provider, request) is None:
                    yield model, provider, request


def _shapes(model: Model) -> Iterator[dict[str, Any]]:
    """Everything that may have a price of its own: all ratios with all resolutions, with sound and without, with files and
    without; and every duration and every number of outputs."""
    files = [
        [_FILE] * number for number in sorted({0, 1, model.input_file_max}) if number <= model.input_file_max
    ]
    usual: dict[str, Any] = {"duration": model.durations[0]} if model.durations else {}
    tiers = [
        {"resolution": resolution, "generate_audio": sound}
        for resolution, sound in product(
            model.resolutions or ("",), (True, False) if model.audio else (None,)
        )
    ]
    for ratio, tier, given in product(model.ratios, tiers, files):
        yield {**usual, **tier, "ratio": ratio, "input_file": given}
    for duration, tier in product(model.durations[1:], tiers):
        yield {**tier, "duration": duration}
    for number, given in product(range(2, model.output_number_max + 1), files):
        yield {**usual, "output_number": number, "input_file": given}
