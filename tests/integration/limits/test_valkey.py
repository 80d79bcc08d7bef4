"""Windows in a real Valkey: the same arithmetic as in memory, shared, with an end, and without a name."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from babysea.common.v1 import error_reason_pb2
from kit.clock import FixedClock, SystemClock
from kit.errors import BabySeaError
from kit.settings import Settings
from server.runtime.errors import StartError
from server.runtime.limits.counter import ValkeyCounter
from server.runtime.limits.shared import KEY_PREFIX, SharedWindows, open_windows
from server.runtime.rate_limit import AuthFailures, ProcessWindows, Standing
from tests.support.valkey import RunningValkey

ADDRESS, ACCOUNT = "192.0.2.77", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


def keyed(purpose: str, content: bytes) -> bytes:
    return hashlib.blake2b(content, key=b"secret", person=purpose[:16].encode()).digest()


@asynccontextmanager
async def windows_on(server: RunningValkey, url: str | None = None) -> AsyncIterator[SharedWindows]:
    # A machine that runs several tests at once may stall for longer than a request would wait.
    counter = ValkeyCounter(url or server.url, budget_seconds=0.5)
    made = SharedWindows(counter, ProcessWindows(SystemClock()), keyed)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def passed(windows: SharedWindows, name: str, limit: int, tries: int) -> int:
    standings = await asyncio.gather(*(windows.take(name, limit) for _ in range(tries)))
    return sum(standing.allowed for standing in standings)


async def back(windows: SharedWindows) -> None:
    async with asyncio.timeout(20):
        while windows.is_away:
            await asyncio.sleep(0.02)


def said(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.name == "babysea.limits"]


async def test_four_connections_together_let_exactly_the_limit_pass(server: RunningValkey) -> None:
    async with (
        windows_on(server) as a,
        windows_on(server) as b,
        windows_on(server) as c,
        windows_on(server) as d,
    ):
        counts = await asyncio.gather(*(passed(windows, "account:1", 60, 100) for windows in (a, b, c, d)))
        assert sum(counts) == 60
        assert not any(windows.is_away for windows in (a, b, c, d))
        standing = await a.peek("account:1", 60)
    assert (standing.remaining, standing.allowed) == (0, False)
    assert standing.retry_after <= 60
    assert abs(standing.reset_at - time.time() - 60) < 60


async def test_every_key_ends_and_none_names_anybody(server: RunningValkey) -> None:
    async with windows_on(server) as windows, server.client() as client:
        await windows.take(f"account:{ACCOUNT}", 60)
        # A refusal and a look leave nothing without an end either.
        await windows.take("account:x", 0)
        await windows.peek("account:y", 5)
        failures = AuthFailures(windows, lambda address: keyed("a", address.encode()).hex()[:12])
        await failures.record(ADDRESS)
        names = [name.decode() for name in await client.keys("*")]
        # The account, the address, and the first look for Valkey.
        assert len(names) == 3
        for name in names:
            assert name.startswith(KEY_PREFIX)
            assert 0 < await client.pttl(name) <= 60_000
            assert ADDRESS not in name
            assert ACCOUNT not in name
            assert len(name) == len(KEY_PREFIX) + 32


async def test_the_embedded_valkey_keeps_nothing_on_disk_and_evicts(server: RunningValkey) -> None:
    async with windows_on(server) as windows, server.client() as client:
        await windows.take("account:1", 60)
        wanted = {
            "save": "",
            "appendonly": "no",
            "maxmemory": str(64 * 1024 * 1024),
            "maxmemory-policy": "volatile-ttl",
            "bind": "127.0.0.1",
        }
        assert {name: (await client.config_get(name))[name] for name in wanted} == wanted
    assert server.let_go() == 0
    assert list((server.folder / "work").iterdir()) == []


class Step:
    TAKE, LOOK, WAIT = range(3)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just(Step.TAKE), st.sampled_from("ab"), st.integers(0, 4)),
            st.tuples(st.just(Step.LOOK), st.sampled_from("ab"), st.integers(0, 4)),
            # Never so near to the end of a window that the time which the test itself takes would matter.
            st.tuples(st.just(Step.WAIT), st.just(""), st.sampled_from([7, 25, 61])),
        ),
        max_size=25,
    )
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_valkey_and_memory_count_alike(
    server: RunningValkey, steps: list[tuple[int, str, int]]
) -> None:
    clock = FixedClock(datetime.now(UTC))
    memory = ProcessWindows(clock)
    async with windows_on(server) as windows, server.client() as client:
        await client.flushall()
        for step, name, number in steps:
            if step == Step.WAIT:
                clock.at += timedelta(seconds=number)
                for key in await client.keys("*"):
                    await client.pexpire(key, max(0, await client.pttl(key) - number * 1000))
                continue
            ask = (windows.take, memory.take) if step == Step.TAKE else (windows.peek, memory.peek)
            theirs, ours = await ask[0](name, number), await ask[1](name, number)
            assert facts(theirs) == facts(ours)
            assert abs(theirs.retry_after - ours.retry_after) <= 1
        assert not windows.is_away


def facts(standing: Standing) -> tuple[int, int, bool]:
    return standing.limit, standing.remaining, standing.allowed


async def test_failures_in_several_processes_are_answered_exactly_so_often(server: RunningValkey) -> None:
    async with windows_on(server) as one, windows_on(server) as other:
        sides = [AuthFailures(windows, lambda address: address) for windows in (one, other)]
        # All were let pass before the first of them failed.
        for side in sides:
            await side.check(ADDRESS)
        standings = await asyncio.gather(*(side.record(ADDRESS) for side in sides for _ in range(40)))
        assert sum(standing.allowed for standing in standings) == 30
        for side in sides:
            with pytest.raises(BabySeaError) as refused:
                await side.check(ADDRESS)
            assert refused.value.reason == error_reason_pb2.ERROR_REASON_AUTH_RATE_LIMITED


async def test_without_valkey_limits_go_on_from_what_was_last_seen(
    server: RunningValkey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "babysea.limits")
    async with windows_on(server) as windows:
        assert await passed(windows, "account:1", 60, 40) == 40
        server.kill()
        assert await passed(windows, "account:1", 60, 100) == 20
        assert await passed(windows, "account:2", 60, 100) == 60
        assert windows.is_away
        await server.start()
        await back(windows)
        async with windows_on(server) as other:
            counts = await asyncio.gather(
                passed(windows, "account:3", 60, 100), passed(other, "account:3", 60, 100)
            )
        assert sum(counts) == 60
    assert said(caplog) == ["limits are local: Valkey is away", "limits are shared again: Valkey is back"]


async def test_a_valkey_that_hangs_costs_one_budget_and_is_left_alone(
    server: RunningValkey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "babysea.limits")
    async with windows_on(server) as windows:
        assert (await windows.take("account:1", 3)).allowed
        server.freeze()
        assert await passed(windows, "account:1", 3, 10) == 2
        assert windows.is_away
        server.thaw()
        await back(windows)
    assert said(caplog) == ["limits are local: Valkey is away", "limits are shared again: Valkey is back"]


async def test_a_wrong_password_limits_locally_and_reaches_no_log(
    server: RunningValkey, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.url.replace("test-valkey", "wrong-password")
    async with windows_on(server, url) as windows:
        assert await passed(windows, "account:1", 3, 10) == 3
        assert windows.is_away
    assert "wrong-password" not in caplog.text
    assert str(server.port) not in str([record.__dict__.get("facts") for record in caplog.records])


async def test_a_valkey_that_refuses_to_count_is_away(server: RunningValkey) -> None:
    async with windows_on(server) as windows, server.client() as client:
        await client.config_set("min-replicas-to-write", 1)
        assert await passed(windows, "account:1", 3, 10) == 3
        assert windows.is_away
        await client.config_set("min-replicas-to-write", 0)
        await back(windows)


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1:1", "valkey://:pw@127.0.0.1:port"])
async def test_a_url_that_is_none_ends_in_a_sentence_without_it(url: str) -> None:
    told = Settings(valkey_url=url)
    with pytest.raises(StartError, match=r"^BABYSEA_VALKEY_URL is not a URL") as refused:
        await open_windows(told, SystemClock(), keyed)
    assert "pw" not in str(refused.value)


async def test_over_tls_the_name_in_the_certificate_is_checked() -> None:
    counter = ValkeyCounter("rediss://:pw@localhost:1")
    assert counter._client.connection_pool.connection_kwargs["ssl_check_hostname"] is True
    await counter.close()
