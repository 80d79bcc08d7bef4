"""Looking for a lost job at Replicate: what was not looked at is not denied."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from server.catalog import load_catalog
from server.providers import replicate as replicate_module
from server.providers.protocol import Accepted, Adapter, Job, ProviderRef
from tests.integration.providers.outside import HandClock, Outside, adapter, serve_sandbox

PAGE = 100


@pytest.fixture(scope="module")
def hand_clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="module")
def hand_sandbox_url(hand_clock: HandClock) -> Iterator[str]:
    with serve_sandbox(hand_clock) as url:
        yield url


@pytest.fixture
async def outside(hand_sandbox_url: str, hand_clock: HandClock) -> AsyncIterator[Outside]:
    async with httpx.AsyncClient(base_url=hand_sandbox_url, timeout=10, trust_env=False) as http:
        found = Outside(hand_sandbox_url, hand_clock, http, load_catalog())
        await found.reset()
        yield found


async def submit(replicate: Adapter, job: Job) -> ProviderRef:
    answer = await replicate.submit(job)
    assert isinstance(answer, Accepted)
    return answer.ref


async def test_a_search_that_stopped_before_its_end_does_not_say_that_there_is_no_job(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = datetime.fromtimestamp(outside.clock.at, UTC)
    async with outside.providers() as providers:
        replicate = adapter(providers, "replicate")
        lost = await submit(replicate, outside.job("replicate", prompt="the lost one"))
        for number in range(PAGE):
            await submit(replicate, outside.job("replicate", prompt=f"a newer one, {number}"))
        wanted, never_sent = (
            outside.job("replicate", prompt="the lost one"),
            outside.job("replicate", prompt="x"),
        )
        monkeypatch.setattr(replicate_module, "_MOST_PAGES", 1)
        assert await replicate.find(wanted, began) is None
        monkeypatch.setattr(replicate_module, "_MOST_PAGES", 2)
        assert await replicate.find(wanted, began) == (lost,)
        assert await replicate.find(never_sent, began) == ()


async def test_of_equal_jobs_the_one_made_nearest_to_the_submit_comes_first(outside: Outside) -> None:
    refs = []
    async with outside.providers() as providers:
        replicate = adapter(providers, "replicate")
        for _ in range(3):
            outside.pass_time(60)
            refs.append(await submit(replicate, outside.job("replicate", prompt="the same")))
        second = datetime.fromtimestamp(outside.clock.at, UTC) - timedelta(seconds=60)
        found = await replicate.find(
            outside.job("replicate", prompt="the same"), second - timedelta(seconds=1)
        )
    assert found == (refs[1], refs[0], refs[2])
