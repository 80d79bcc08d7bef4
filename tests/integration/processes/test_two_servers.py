"""Two servers behind one gateway: calls are spread, one may go or be killed, and no admitted generation is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from tests.integration.processes.conftest import SERVERS
from tests.integration.processes.load import Answer, Load, calls_in, client_of, failed, load
from tests.support.deployment import Deployment, lines_since

pytestmark = pytest.mark.timeout(240)

_OPEN = "select count(*) from generation.generation where completed_at is null"
_ALL = "select count(*) from generation.generation"


@pytest.fixture
async def busy(twin: Deployment) -> AsyncIterator[Deployment]:
    """The stack, with an account that may ask as often, and have as many generations in flight, as these tests do."""
    await twin.execute("update accounts.account set requests_per_minute = 1000000")
    await twin.execute("update ledger.account set in_flight_limit = 1000000 where in_flight_limit > 0")
    yield twin
    async with asyncio.timeout(120):
        while await twin.value(_OPEN):
            await asyncio.sleep(0.2)
    assert twin.audit_is_clean()


async def _serves_again(twin: Deployment, server: str, old: int, running: Load) -> None:
    """Waits until the supervisor's new process of a server answers calls of the gateway."""
    async with asyncio.timeout(60):
        while twin.pid(server) == old:
            await asyncio.sleep(0.05)
        news = lines_since(twin.log(server))
        while not calls_in(news()):
            await asyncio.sleep(0.05)
    await running.answered(20)


def test_ready_json_names_the_first_server_and_all_of_them(twin: Deployment) -> None:
    region = twin.region
    assert region["grpc"] == region["grpc_all"][0]
    assert len(set(region["grpc_all"])) == 2


async def test_calls_take_turns_at_both_servers(busy: Deployment) -> None:
    async with load(busy.region, creating=4, reading=8, pause=0.05) as running:
        # A connection that is just being made, or made again, takes no turns; once both stand, they share evenly. Turns
        # are taken by all calls together, so one method alone may well meet the same server often.
        async with asyncio.timeout(120):
            while True:
                news = [lines_since(busy.log(server)) for server in SERVERS]
                await running.answered(100)
                counts = [sum(calls_in(new()).values()) for new in news]
                if all(0.45 <= count / sum(counts) <= 0.55 for count in counts):
                    break
    assert failed([*running.creates, *running.reads]) == []


async def test_a_server_that_is_told_to_stop_under_load_loses_no_call(busy: Deployment) -> None:
    async with load(busy.region, creating=6, reading=10, pause=0.1) as running:
        await running.answered(20)
        for server in SERVERS:
            old = busy.pid(server)
            news = lines_since(busy.log(server))
            os.kill(old, signal.SIGTERM)
            await _serves_again(busy, server, old, running)
            assert any('"draining"' in line for line in news())
    assert failed([*running.creates, *running.reads]) == []


async def test_a_killed_server_loses_no_generation_and_every_key_is_admitted_once(busy: Deployment) -> None:
    before = await busy.value(_ALL)
    async with load(busy.region, creating=2, reading=2, pause=0.05) as running:
        await running.answered(20)
        for server in SERVERS:
            old = busy.pid(server)
            os.kill(old, signal.SIGKILL)
            await _serves_again(busy, server, old, running)
    for answer in (*running.creates, *running.reads):
        assert answer.status == 200 or answer.retryable, answer.body
    async with client_of(busy.region) as client:
        customer = Load(client)
        again = await asyncio.gather(*(_until_admitted(customer, answer) for answer in running.creates))
    assert len({answer.generation_id for answer in again}) == len(running.creates)
    for first, second in zip(running.creates, again, strict=True):
        assert first.generation_id in {"", second.generation_id}
    assert await busy.value(_ALL) - before == len(running.creates)


async def _until_admitted(customer: Load, answer: Answer) -> Answer:
    async with asyncio.timeout(60):
        while answer.status != 200:
            answer = await customer.create(answer.key)
        # Asked once more, the same key must lead to the same generation.
        return await customer.create(answer.key)
