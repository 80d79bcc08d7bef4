"""How the tests talk to the sandbox, in the words of each provider."""

from __future__ import annotations

import time
from typing import Any

import httpx

REPLICATE_HEADERS = {"authorization": "Bearer r8_TEST"}
FAL_HEADERS = {"authorization": "Key kid:ksecret"}
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
