"""One sandbox for all adapter tests, reset before each."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from server.catalog import load_catalog
from tests.integration.providers.outside import HandClock, Outside, serve_sandbox


@pytest.fixture(scope="session")
def sandbox_clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="session")
def sandbox_url(sandbox_clock: HandClock) -> Iterator[str]:
    with serve_sandbox(sandbox_clock) as url:
        yield url


@pytest.fixture
async def outside(sandbox_url: str, sandbox_clock: HandClock) -> AsyncIterator[Outside]:
    async with httpx.AsyncClient(base_url=sandbox_url, timeout=10, trust_env=False) as http:
        # The sandbox's answers carry the machine's date, and no provider stamps its jobs long before that.
        sandbox_clock.at = max(sandbox_clock.at, time.time())
        found = Outside(sandbox_url, sandbox_clock, http, load_catalog())
        await found.reset()
        yield found
