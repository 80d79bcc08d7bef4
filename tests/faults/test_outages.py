"""What a region does without its database or its Valkey, under load, and that no other region notices."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.integration.processes.load import Answer, Load, client_of, failed, load
from tests.support.deployment import Deployment, deployed, lines_since

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

REGIONS = ("us", "eu")
AWAY_SECONDS = 6.0
FREE_PLAN = 60
"""Requests a minute of the plan."""
_OPEN = "select count(*) from generation.generation where completed_at is null"
_HELD = "select count(*) from ledger.hold where state = 'held'"


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """Two regions; at their end nothing of them is left."""
    with deployed(regions=",".join(REGIONS)) as found:
        yield found


@pytest.fixture
async def stack(deployment: Deployment) -> AsyncIterator[Deployment]:
    """The regions, whose plans do not limit these tests; afterwards everything has ended and the books are in order."""
    for region in REGIONS:
        await deployment.execute("update accounts.account set requests_per_minute = 1000000", region=region)
        await deployment.execute(
            "update ledger.account set in_flight_limit = 1000000 where in_flight_limit > 0", region=region
        )
    yield deployment
    for region in REGIONS:
        async with asyncio.timeout(120):
            while await deployment.value(_OPEN, region=region):
                await asyncio.sleep(0.2)
        assert await deployment.value(_HELD, region=region) == 0
    assert deployment.audit_is_clean()


async def _stays_away(stack: Deployment, seconds: float) -> None:
    """Stops the database of us at once, and again whenever the supervisor has started it, for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.to_thread(stack.stop_database)
        await asyncio.sleep(0.2)


async def _serves(running: Load, count: int) -> None:
    """Waits until that many further creates in a row were answered well."""
    begun = len(running.creates)
    async with asyncio.timeout(120):
        while len(news := running.creates[begun:]) < count or failed(news[-count:]):
            await asyncio.sleep(0.05)


async def test_a_region_without_its_database_says_503_loses_nothing_and_heals_and_no_other_one_notices(
    stack: Deployment,
) -> None:
    async with (
        load(stack.place("eu"), creating=2, reading=2, pause=0.1) as eu,
        load(stack.place("us"), creating=3, reading=2, pause=0.05) as us,
    ):
        await _serves(us, 20)
        served = len(eu.creates)
        await _stays_away(stack, AWAY_SECONDS)
        meanwhile = eu.creates[served:]
        await _serves(us, 20)
    assert meanwhile
    assert failed([*eu.creates, *eu.reads]) == []
    refused = [answer for answer in (*us.creates, *us.reads) if answer.status != 200]
    assert {answer.status for answer in us.reads} == {200, 503}
    assert Counter((answer.status, answer.body["error"]["code"]) for answer in refused).keys() == {
        (503, "BSE5002")
    }
    for answer in refused:
        # Whether the last create before the end was admitted, nobody can know; then it says so.
        assert answer.retryable or answer.body["error"]["message"].startswith("The generation may have been")
    assert all(answer.retryable for answer in refused if answer in us.reads)
    await _every_key_leads_to_its_one_generation(stack, us.creates)


async def _every_key_leads_to_its_one_generation(stack: Deployment, creates: list[Answer]) -> None:
    async with client_of(stack.place("us")) as client:
        customer = Load(client)
        again = {answer.key: await customer.create(answer.key) for answer in creates}
    assert failed(list(again.values())) == []
    for answer in creates:
        assert answer.generation_id in {"", again[answer.key].generation_id}
    named = {answer.generation_id for answer in again.values()}
    assert len(named) == len(creates)
    account = stack.place("us")["account_id"]
    on_record = await stack.rows("select id from generation.generation where account_id = $1", account)
    assert named == {str(row["id"]) for row in on_record}


async def test_without_valkey_every_request_is_answered_limits_hold_locally_and_are_shared_again_later(
    stack: Deployment,
) -> None:
    configuration = stack.data_dir / "us" / "secrets" / "valkey.conf"
    aside = configuration.with_name("aside")
    news = lines_since(stack.log("us server"))
    async with load(stack.place("us"), creating=2, reading=2, pause=0.1) as running:
        await _serves(running, 20)
        # It hangs: its connections stand, and nothing comes back.
        stack.signal_group("us valkey", signal.SIGSTOP)
        await _serves(running, 20)
        assert await _allowed(stack) == (FREE_PLAN, 10)
        # It is gone, and cannot be started again.
        configuration.rename(aside)
        stack.signal_group("us valkey", signal.SIGKILL)
        await _serves(running, 20)
        assert await _allowed(stack) == (FREE_PLAN, 10)
        aside.rename(configuration)
        async with asyncio.timeout(60):
            while not any("limits are shared again" in line for line in news()):
                await asyncio.sleep(0.1)
        await _serves(running, 20)
        assert await _allowed(stack) == (FREE_PLAN, 10)
    assert failed([*running.creates, *running.reads]) == []


async def _allowed(stack: Deployment) -> tuple[int, int]:
    """Of a new customer's requests, ten more than its plan allows: how many were answered, and how many refused."""
    where = ("--region", "us")
    made = json.loads(stack.run("account", "create", *where, "--name", "Ada", "--plan", "free", "--json"))
    account = str(made["account_id"])
    key = json.loads(stack.run("key", "create", *where, "--account", account, "--name", "ada", "--json"))
    headers = {"Authorization": f"Bearer {key['api_key']}"}
    async with httpx.AsyncClient(
        base_url=stack.place("us")["api"], headers=headers, timeout=30, trust_env=False
    ) as client:
        replies = [await client.get("/v1/user/account") for _ in range(FREE_PLAN + 10)]
    for reply in replies:
        assert reply.status_code in {200, 429}, reply.text
        if reply.status_code == 429:
            assert reply.json()["error"]["code"] == "BSE1005"
            assert reply.headers["retry-after"].isdecimal()
    statuses = Counter(reply.status_code for reply in replies)
    return statuses[200], statuses[429]
