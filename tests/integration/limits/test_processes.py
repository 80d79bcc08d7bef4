"""Limits of an account and of an address over two server processes and four gateways."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from itertools import cycle, islice

import httpx
import pytest

from kit.clock import SystemClock
from server.keys.creation import create_key
from server.keys.hashing import KeyHasher
from server.keys.secrets import new_key
from server.runtime.encryption import MasterKey
from tests.integration.limits.fleet import Fleet
from tests.support.postgres import TestDatabase
from tests.support.region import MASTER_KEY, TestRegion
from tests.support.valkey import RunningValkey

FREE = 60
"""Requests per minute of the plan free."""

HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


@pytest.fixture(scope="module")
def fleet(database: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterable[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    valkey = RunningValkey.at(folder / "valkey")
    made = Fleet(folder, valkey)
    try:
        asyncio.run(valkey.start())
        made.start(database)
        yield made
    finally:
        made.close()
        valkey.kill()


@pytest.fixture
async def keys(region: TestRegion) -> AsyncIterator[list[str]]:
    """Two keys of one account on the plan free."""
    hasher = KeyHasher(MasterKey(MASTER_KEY).derived("api_key_pepper"), 4)
    account_id = await region.new_account(plan="free")
    made = [
        await create_key(
            region.databases.app,
            hasher,
            SystemClock(),
            "us",
            account_id=account_id,
            name=name,
            preset="full_access",
            scopes=[],
            allowlist=[],
            expires_at=None,
        )
        for name in ("one", "two")
    ]
    yield [secret for _, secret in made]
    hasher.close()


async def burst(fleet: Fleet, keys: list[str], urls: list[str], count: int) -> list[httpx.Response]:
    """GETs, at once, spread over keys and gateways."""
    async with fleet.client(keys[0]) as client:
        calls = zip(cycle(urls), islice(cycle(keys), count), strict=False)
        return await asyncio.gather(
            *(
                client.get(f"{url}/v1/status", headers={"authorization": f"Bearer {key}"})
                for url, key in calls
            )
        )


def statuses(replies: list[httpx.Response]) -> Counter[int]:
    return Counter(reply.status_code for reply in replies)


def check_headers(replies: list[httpx.Response], limit: int) -> None:
    for reply in replies:
        told = [reply.headers[name] for name in HEADERS]
        assert all(value.isdecimal() for value in told)
        assert told[0] == str(limit)
        if reply.status_code == 429:
            assert told[1] == "0"
            assert 1 <= int(reply.headers["retry-after"]) <= 60
            assert reply.json()["error"]["details"]["retry_after_seconds"] == int(
                reply.headers["retry-after"]
            )
        else:
            assert "retry-after" not in reply.headers


@pytest.mark.parametrize("gateways", [1, 4])
async def test_a_burst_of_an_account_gets_exactly_its_plan_s_number_through(
    fleet: Fleet, keys: list[str], gateways: int
) -> None:
    replies = await burst(fleet, keys, fleet.urls[:gateways], 150)
    assert statuses(replies) == {200: FREE, 429: 150 - FREE}
    check_headers(replies, FREE)
    left = sorted(
        int(reply.headers["x-ratelimit-remaining"]) for reply in replies if reply.status_code == 200
    )
    assert left == list(range(FREE))
    assert len({reply.headers["x-ratelimit-reset"] for reply in replies}) == 1
    assert {reply.json()["error"]["code"] for reply in replies if reply.status_code == 429} == {"BSE1005"}


async def test_wrong_keys_from_one_address_fail_thirty_times_over_all_processes(fleet: Fleet) -> None:
    async with fleet.client("", "198.51.100.30") as client:
        replies = [
            await client.get(f"{url}/v1/status", headers={"authorization": f"Bearer {new_key('us').whole()}"})
            for url in islice(cycle(fleet.urls), 60)
        ]
    assert statuses(replies) == {401: 30, 429: 30}
    assert {reply.json()["error"]["code"] for reply in replies if reply.status_code == 429} == {"BSE1006"}
    check_headers(replies, 30)


async def test_what_one_key_spent_its_sister_lacks_at_every_gateway(fleet: Fleet, keys: list[str]) -> None:
    spent = await burst(fleet, keys[:1], fleet.urls, FREE)
    assert statuses(spent) == {200: FREE}
    sister = await burst(fleet, keys[1:], fleet.urls, len(fleet.urls))
    assert statuses(sister) == {429: len(fleet.urls)}
    check_headers(sister, FREE)


async def test_valkey_killed_under_load_limits_locally_and_heals_without_a_restart(
    fleet: Fleet, keys: list[str]
) -> None:
    replies: list[httpx.Response] = []
    over = asyncio.Event()

    async def load() -> None:
        while not over.is_set():
            replies.extend(await burst(fleet, keys, fleet.urls, 8))

    loading = asyncio.create_task(load())
    await _until(lambda: len(replies) >= 24)
    before = statuses(replies)[200]
    fleet.valkey.kill()
    await _until(lambda: all(fleet.said("limits are local")))
    seen = len(replies)
    await _until(lambda: len(replies) >= seen + 200)
    outage = statuses(replies)
    await fleet.valkey.start()
    await _until(lambda: all(fleet.said("limits are shared again")))
    over.set()
    await loading
    assert before <= FREE
    # Each server goes on from what it last saw, so together they let at most twice the plan's number pass.
    assert set(statuses(replies)) == {200, 429}
    assert FREE <= outage[200] <= 2 * FREE
    check_headers(replies, FREE)
    assert fleet.said("limits are local") == [1, 1]
    assert fleet.said("limits are shared again") == [1, 1]


async def test_after_valkey_came_back_limits_are_shared(fleet: Fleet, keys: list[str]) -> None:
    replies = await burst(fleet, keys, fleet.urls, 100)
    assert statuses(replies) == {200: FREE, 429: 100 - FREE}


async def _until(is_so: object) -> None:
    assert callable(is_so)
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.05)
