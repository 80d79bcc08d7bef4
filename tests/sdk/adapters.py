"""Our adapters, doing at the sandbox what the official SDKs do there."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from pydantic import SecretStr

from babysea.generation.v1.generation_service_pb2 import CreateGenerationRequest
from kit.ids import uuid7
from kit.settings import Settings
from server.catalog import Catalog, load_catalog
from server.generation.request import normalise
from server.providers.protocol import (
    Accepted,
    Adapter,
    CallbackRefused,
    Done,
    Finished,
    InputFile,
    Job,
    Pending,
    ProviderRef,
)
from server.providers.registry import Providers, open_providers
from tests.sdk.official import PROMPT, SLOW
from tests.sdk.recorder import STEP

_SECONDS = 40.0
_FILE = "https://files.example/a.png"


class Players:
    """The adapters, and what they are asked, step by step."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._operation = ""
        self._catalog: Catalog = load_catalog()
        self._http = httpx.Client(base_url=url, timeout=10, trust_env=False)

    async def play(self) -> list[tuple[str, str, str]]:
        """Everything; what went wrong, as provider, operation and reason."""
        wrong = []
        providers = open_providers(sandboxed(self._url), self._catalog)
        try:
            for provider_id in sorted(self._catalog.providers):
                try:
                    await self._play(providers, provider_id)
                except Exception as error:  # noqa: BLE001 - said in the table, and the next adapter is asked
                    wrong.append(
                        (provider_id, self._operation, f"{type(error).__name__}: {str(error)[:150]}")
                    )
        finally:
            await providers.aclose()
            self._http.close()
        return wrong

    async def _play(self, providers: Providers, provider_id: str) -> None:
        adapter = providers.get(provider_id)
        if adapter is None:
            raise LookupError("no adapter is configured")
        began = datetime.now(UTC)
        ref, first = None, None
        for operation, model, fields in CREATES[provider_id]:
            self._step(provider_id, operation)
            job = self._job(provider_id, model, **fields)
            submission = await adapter.submit(job)
            if not isinstance(submission, Accepted | Done):
                raise RuntimeError(f"the submit came to {submission}")
            if ref is None and isinstance(submission, Accepted):
                ref, first = submission.ref, (job, model, fields)
        if ref is None or first is None:
            return
        self._step(provider_id, "poll")
        await _finished(adapter, ref)
        job, model, fields = first
        self._step(provider_id, "list")
        await adapter.find(job, began)
        self._step(provider_id, "cancel")
        submission = await adapter.submit(self._job(provider_id, model, **fields | {"prompt": SLOW}))
        assert isinstance(submission, Accepted), submission
        await adapter.cancel(submission.ref)
        if provider_id == "replicate":
            self._step(provider_id, "webhook secret")
            await self._report(adapter)

    async def _report(self, adapter: Adapter) -> None:
        """A forged report, for which the adapter asks what real ones are signed with."""
        now = str(int(time.time()))
        signed = {"webhook-id": "msg_1", "webhook-timestamp": now, "webhook-signature": "v1,Zm9yZ2Vk"}
        with suppress(CallbackRefused):
            await adapter.verify_callback(signed, b'{"id": "abc"}', "")

    def _step(self, provider: str, operation: str) -> None:
        self._operation = operation
        step = {"player": "adapter", "provider": provider, "operation": operation}
        self._http.post(STEP, json=step).raise_for_status()

    def _job(self, provider_id: str, identifier: str, **asked: Any) -> Job:
        fields: dict[str, Any] = asked
        model = self._catalog.model(identifier)
        if model.durations:
            fields = {"duration": 5, "resolution": "720p" if model.resolutions else "", **fields}
        fields = {"prompt": PROMPT, "output_number": 1, **fields}
        message = CreateGenerationRequest(model_identifier=identifier, media=model.media_value, **fields)
        request = normalise(self._catalog, message)
        job = Job(uuid7(), request, model, model.provider(provider_id), outputs=1, seconds=_SECONDS)
        return replace(job, inputs=tuple(self._file() for _ in request.input_file))

    def _file(self) -> InputFile:
        path = self._folder / "in.png"
        Image.new("RGB", (64, 64), "red").save(path)
        return InputFile(path, "image/png", 64, 64, size=path.stat().st_size, url=_FILE)


async def _finished(adapter: Adapter, ref: ProviderRef) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        progress = await adapter.poll(ref)
        if isinstance(progress, Finished):
            return
        if not isinstance(progress, Pending):
            raise RuntimeError(f"the job came to {progress}")
        await asyncio.sleep(0.3)
    raise TimeoutError("the job did not end")


CREATES: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "alibabacloud": [
        ("create video", "wan/3.0-video", {"ratio": "16:9"}),
        ("create image task", "wan/2.2-t2i", {"ratio": "1:1", "output_format": "png"}),
        ("create image at once", "qwen/image-2", {"ratio": "1:1", "output_format": "png"}),
    ],
    "bfl": [("create image", "bfl/flux-kontext-pro", {"ratio": "16:9", "output_format": "png"})],
    "byteplus": [
        ("create image", "bytedance/seedream-4", {"ratio": "16:9"}),
        ("create video", "bytedance/seedance-1.5-pro", {"ratio": "16:9"}),
    ],
    "cloudflare": [
        ("create video", "bytedance/seedance-2.0-fast", {"ratio": "16:9"}),
        ("create image", "bfl/flux-2-klein-4b", {"ratio": "16:9"}),
    ],
    "fal": [("create image", "bfl/flux-dev", {"ratio": "16:9"})],
    "openai": [
        ("create image", "gpt/image-2", {"ratio": "3:2", "output_format": "png"}),
        ("edit image", "gpt/image-2", {"ratio": "3:2", "output_format": "png", "input_file": [_FILE]}),
    ],
    "replicate": [("create image", "bfl/flux-schnell", {"ratio": "16:9", "output_format": "png"})],
    "runway": [
        ("create image", "runway/gen-4-image", {"ratio": "16:9"}),
        ("create video", "runway/gen-4.5", {"ratio": "16:9"}),
        ("create video of image", "runway/gen-4.5", {"ratio": "16:9", "input_file": [_FILE]}),
    ],
}
"""What each provider is asked to make: the operation, our model, and what the request says."""


def sandboxed(url: str) -> Settings:
    """Settings of every provider, with the sandbox at that URL in its place."""
    return Settings(
        alibaba_base_url=f"{url}/alibaba/api/v1",
        alibaba_key=SecretStr("sk-ours"),
        bfl_base_url=url,
        bfl_key=SecretStr("bfl-ours"),
        byteplus_base_url=f"{url}/byteplus/api/v3",
        byteplus_key=SecretStr("ark-ours"),
        cloudflare_base_url=f"{url}/cloudflare/client/v4",
        cloudflare_token=SecretStr("cf-ours"),
        cloudflare_account_id="acc123",
        fal_base_url=f"{url}/fal",
        fal_key=SecretStr("ours:key"),
        openai_base_url=f"{url}/openai/v1",
        openai_key=SecretStr("sk-ours"),
        replicate_base_url=f"{url}/replicate",
        replicate_token=SecretStr("r8_ours"),
        runway_base_url=f"{url}/runway",
        runway_key=SecretStr("key_ours"),
    )
