"""A real gateway on free loopback ports, in front of two fake regions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from gateway.main import serving
from kit.clock import FixedClock
from kit.settings import Settings
from kit.telemetry import configure_telemetry
from tests.contract.gateway import fake_region
from tests.contract.gateway.fake_region import KEY, TOKEN, Region
from tests.contract.gateway.members import People

PROMPT = {"generation_prompt": "a lighthouse"}
IMAGE = "/v1/generate/image/bfl/flux-schnell"
VIDEO = "/v1/generate/video/wan/video"


@dataclass
class World:
    """What a test can touch."""

    us: Region
    eu: Region
    us_server: grpc.aio.Server
    client: httpx.AsyncClient
    """Speaks to the us port with a good key."""
    urls: dict[str, str]
    clock: FixedClock

    async def create(self, **body: Any) -> httpx.Response:
        """POSTs an image generation."""
        return await self.client.post(IMAGE, json={**PROMPT, **body})


@pytest.fixture(scope="session", autouse=True)
def spans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the spans of these tests end up, one folder per region."""
    folder = tmp_path_factory.mktemp("traces")
    configure_telemetry("gateway", trace_dir=folder)
    return folder


@asynccontextmanager
async def running(tmp_path: Path, **settings: Any) -> AsyncIterator[World]:
    """A gateway for us and eu; `settings` replace its own."""
    token = tmp_path / "service.token"
    token.write_text(TOKEN + "\n")
    us, eu = Region("us"), Region("eu")
    servers = [await fake_region.start(region, People(region)) for region in (us, eu)]
    clock = FixedClock(datetime(2026, 11, 22, 1, 2, 10, tzinfo=UTC))
    values: dict[str, Any] = {
        "gateway_listen": "us=127.0.0.1:0,eu=127.0.0.1:0",
        "gateway_upstreams": f"us=127.0.0.1:{us.port},eu=127.0.0.1:{eu.port}",
        "gateway_service_tokens": f"us={token},eu={token}",
        "drain_seconds": 2,
        **settings,
    }
    try:
        async with serving(Settings(**values), clock=clock) as gateway:
            urls = {str(region): url for region, url in gateway.urls.items()}
            headers = {"authorization": KEY, "user-agent": "tests"}
            async with httpx.AsyncClient(
                base_url=urls["us"], headers=headers, trust_env=False, timeout=30
            ) as client:
                yield World(us, eu, servers[0], client, urls, clock)
    finally:
        for server in servers:
            await server.stop(None)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway with ordinary settings."""
    async with running(tmp_path) as made:
        yield made
