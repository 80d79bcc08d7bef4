"""Two servers behind one gateway: calls are spread, one may go or be killed, and no admitted generation is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from tests.integration.processes.conftest import SERVERS, Twin, lines_since
from tests.integration.processes.load import Answer, Load, calls_in, client_of, failed, load

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(240), pytest.mark.slow]

_OPEN = "select count(*) from generation.generation where completed_at is null"
_ALL = "select count(*) from generation.generation"


@pytest.fixture
async def busy(twin: Twin) -> AsyncIterator[Twin]:
    """The stack, with an account that may have as many generations in flight as these tests make."""
    await twin.execute("update ledger.account set in_flight_limit = 1000000 where in_flight_limit > 0")
    yield twin
    async with asyncio.timeout(120):
        while await twin.value(_OPEN):
            await asyncio.sleep(0.2)
    assert twin.audit_is_clean()


async def _serves_again(twin: Twin, server: str, old: int, running: Load) -> None:
    """Waits until the supervisor's new process of a server answers calls of the gateway."""
    async with asyncio.timeout(60):
        while twin.pid(server) == old:
            await asyncio.sleep(0.05)
        news = lines_since(twin.log(server))
        while not calls_in(news()):
            await asyncio.sleep(0.05)
    await running.answered(20)


def test_ready_json_names_the_first_server_and_all_of_them(twin: Twin) -> None:
    region = twin.region
    assert region["grpc"] == region["grpc_all"][0]
    assert len(set(region["grpc_all"])) == 2


async def test_calls_take_turns_at_both_servers(busy: Twin) -> None:
    news = [lines_since(busy.log(server)) for server in SERVERS]
    async with load(busy.region) as running:
        await running.answered(150)
    assert failed([*running.creates, *running.reads]) == []
    counts = [calls_in(new(), "CreateGeneration")["OK"] for new in news]
    assert sum(counts) == len(running.creates)
    for count in counts:
        assert 0.45 <= count / sum(counts) <= 0.55, counts


async def test_a_server_that_is_told_to_stop_under_load_loses_no_call(busy: Twin) -> None:
    async with load(busy.region, creating=10, reading=10) as running:
        await running.answered(20)
        for server in SERVERS:
            old = busy.pid(server)
            news = lines_since(busy.log(server))
            os.kill(old, signal.SIGTERM)
            await _serves_again(busy, server, old, running)
            assert any('"draining"' in line for line in news())
    assert failed([*running.creates, *running.reads]) == []


async def test_a_killed_server_loses_no_generation_and_every_key_is_admitted_once(busy: Twin) -> None:
    before = await busy.value(_ALL)
    async with load(busy.region, creating=2, reading=1) as running:
        await running.answered(20)
        for server in SERVERS:
            old = busy.pid(server)
            os.kill(old, signal.SIGKILL)
            await _serves_again(busy, server, old, running)
    for answer in (*running.creates, *running.reads):
        assert answer.status == 200 or answer.retryable, answer.body
    async with client_of(busy.region) as client:
        again = [await _until_admitted(Load(client), answer) for answer in running.creates]
    assert len({answer.generation_id for answer in again}) == len(running.creates)
    for first, second in zip(running.creates, again, strict=True):
        assert first.generation_id in {"", second.generation_id}
    assert await busy.value(_ALL) - before == len(running.creates)


async def _until_admitted(customer: Load, answer: Answer) -> Answer:
    async with asyncio.timeout(30):
        while answer.status != 200:
            answer = await customer.create(answer.key)
        # Asked once more, the same key must lead to the same generation.
        return await customer.create(answer.key)
