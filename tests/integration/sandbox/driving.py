"""How the tests talk to the sandbox, in the words of each provider."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import httpx

REPLICATE_HEADERS = {"authorization": "Bearer r8_TEST"}
FAL_HEADERS = {"authorization": "Key kid:ksecret"}
BEARER = {"authorization": "Bearer key_TEST"}
RUNWAY_HEADERS = {**BEARER, "x-runway-version": "2024-11-06"}
BFL_HEADERS = {"x-key": "bfl_TEST"}
ASYNC_HEADERS = {**BEARER, "x-dashscope-async": "enable"}
FILM_TASKS = "/byteplus/api/v3/contents/generations/tasks"
ALIBABA = "/alibaba/api/v1"
CLOUDFLARE = "/cloudflare/client/v4/accounts/acc123/ai/run"
EIGHT = ["replicate", "fal", "alibabacloud", "byteplus", "cloudflare", "openai", "runway", "bfl"]
FLUX = "black-forest-labs/flux-schnell"


class Clock:
    """The sandbox's time: the real one plus what a test adds."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._frozen_at = time.time()

    def __call__(self) -> float:
        return self._frozen_at + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


class Sandbox:
    """One running sandbox."""

    def __init__(self, http: httpx.AsyncClient, url: str, clock: Clock) -> None:
        self.http = http
        self.url = url
        self.clock = clock

    async def replicate(
        self, given: dict[str, Any], model: str = FLUX, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return await self.http.post(
            f"/replicate/v1/models/{model}/predictions",
            json={"input": given},
            headers=REPLICATE_HEADERS | (headers or {}),
        )

    async def prediction(self, job_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/replicate/v1/predictions/{job_id}", headers=REPLICATE_HEADERS)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def replicate_result(self, given: dict[str, Any], model: str = FLUX) -> dict[str, Any]:
        created = await self.replicate(given, model)
        assert created.status_code == 201, created.text
        self.clock.advance(10)
        return await self.prediction(created.json()["id"])

    async def fal(self, given: dict[str, Any], model: str = "fal-ai/flux/schnell") -> httpx.Response:
        return await self.http.post(f"/fal/{model}", json=given, headers=FAL_HEADERS)

    async def fal_get(self, url: str) -> httpx.Response:
        return await self.http.get(url, headers=FAL_HEADERS)

    async def fal_result(self, given: dict[str, Any], model: str = "fal-ai/flux/schnell") -> dict[str, Any]:
        created = await self.fal(given, model)
        assert created.status_code == 200, created.text
        self.clock.advance(10)
        answer = await self.fal_get(created.json()["response_url"])
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def knobs(self, provider: str, **wanted: Any) -> httpx.Response:
        return await self.http.put(f"/_sandbox/knobs/{provider}", json=wanted)

    async def log(self, **query: Any) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = (await self.http.get("/_sandbox/log", params=query)).json()["entries"]
        return entries

    async def held(self, call: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
        """The answer to a call that the provider holds until the job has ended."""
        waiting = asyncio.create_task(call)
        before = len(await self.log())
        while not waiting.done() and len(await self.log()) == before:
            await asyncio.sleep(0.01)
        self.clock.advance(10)
        return await waiting

    async def submit(self, provider: str, prompt: str) -> httpx.Response:
        """The answer of any provider to a small submit; held ones are waited for."""
        if provider == "replicate":
            return await self.replicate({"prompt": prompt})
        if provider == "fal":
            return await self.fal({"prompt": prompt})
        if provider == "bfl":
            return await self.http.post("/v1/flux-2-pro", json={"prompt": prompt}, headers=BFL_HEADERS)
        if provider == "runway":
            body = {"model": "gen4_image", "promptText": prompt, "ratio": "1280:720"}
            return await self.http.post("/runway/v1/text_to_image", json=body, headers=RUNWAY_HEADERS)
        if provider == "alibabacloud":
            return await self.alibaba_film(prompt)
        if provider == "byteplus":
            return await self.byteplus_film(prompt)
        if provider == "openai":
            image = {"model": "gpt-image-2", "prompt": prompt, "size": "1024x1024"}
            return await self.held(
                self.http.post("/openai/v1/images/generations", json=image, headers=BEARER)
            )
        path = f"{CLOUDFLARE}/@cf/black-forest-labs/flux-1-schnell"
        return await self.held(self.http.post(path, json={"prompt": prompt}, headers=BEARER))

    async def alibaba_film(self, prompt: str, **parameters: Any) -> httpx.Response:
        body = {"model": "wan3.0-video", "input": {"prompt": prompt}, "parameters": parameters}
        path = f"{ALIBABA}/services/aigc/video-generation/video-synthesis"
        return await self.http.post(path, json=body, headers=ASYNC_HEADERS)

    async def alibaba_task(self, task_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"{ALIBABA}/tasks/{task_id}", headers=BEARER)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def byteplus_film(self, prompt: str, **fields: Any) -> httpx.Response:
        content = [{"type": "text", "text": prompt}]
        body = {"model": "seedance-1-5-pro-251215", "content": content, **fields}
        return await self.http.post(FILM_TASKS, json=body, headers=BEARER)

    async def byteplus_task(self, task_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"{FILM_TASKS}/{task_id}", headers=BEARER)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def bfl_result(self, job_id: str) -> dict[str, Any]:
        answer = await self.http.get("/v1/get_result", params={"id": job_id}, headers=BFL_HEADERS)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def runway_task(self, task_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/runway/v1/tasks/{task_id}", headers=RUNWAY_HEADERS)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found
