"""Names that no name server answers for hold up nothing but themselves."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from server.providers.guard import ForbiddenAddress, GuardedBackend
from server.providers.resolver import Resolver, asking_for

PATIENCE = 5.0
"""Seconds in which whatever is not held up is done."""


class NameServers:
    """What `socket.getaddrinfo` asks: names of "dead.example" get no answer before `answer`, all others have an address."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._answering = threading.Event()

    def answer(self) -> None:
        self._answering.set()

    def getaddrinfo(self, host: str | bytes, port: int, *_: object, **__: object) -> list[object]:
        name = host.decode() if isinstance(host, bytes) else host
        self.asked.append(name)
        if name.endswith("dead.example") and not self._answering.wait(30):
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        if name.startswith("missing"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*entry, ("10.0.0.7", port)), (*entry, ("10.0.0.7", port)), (*entry, ("10.0.0.8", port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    names = NameServers()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.answer()


async def asked(names: NameServers, times: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(names.asked) < times:
            await asyncio.sleep(0.01)


async def ended(*tasks: asyncio.Task[tuple[str, ...]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_dead_names_hold_up_neither_the_event_loop_nor_another_kind_of_names(
    names: NameServers,
) -> None:
    inputs, outputs = (GuardedBackend(allow_loopback=False) for _ in range(2))
    dead = [asyncio.create_task(inputs.connect_tcp(f"{n}.dead.example", 443)) for n in range(64)]
    await asked(names, 1)
    async with asyncio.timeout(PATIENCE):
        # As a provider's own name is looked up.
        assert await asyncio.get_running_loop().getaddrinfo("api.provider.example", 443)
        with pytest.raises(ForbiddenAddress):
            await outputs.connect_tcp("files.provider.example", 443)
    for task in dead:
        task.cancel()
    await asyncio.gather(*dead, return_exceptions=True)


async def test_every_address_of_a_name_is_told_once_and_in_order(names: NameServers) -> None:
    assert await Resolver().resolve("files.example", 443) == ("10.0.0.7", "10.0.0.8")


@pytest.mark.parametrize("address", ["93.184.216.34", "127.0.0.1", "::1", "::ffff:10.0.0.1"])
async def test_an_address_is_its_own_answer(names: NameServers, address: str) -> None:
    assert await Resolver(at_once=0).resolve(address, 443) == (address,)
    assert names.asked == []


@pytest.mark.parametrize("name", ["missing.example", f"{'a' * 64}.example", "a..example"])
async def test_a_name_without_an_address_is_an_error_of_the_network(name: str) -> None:
    def nowhere(host: str, *_: object, **__: object) -> list[object]:
        host.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", nowhere)
        with pytest.raises(OSError, match=r"name"):
            await Resolver().resolve(name, 443)


async def test_one_askers_dead_names_leave_the_others_room(names: NameServers) -> None:
    resolver = Resolver(at_once=3, share=2)
    with asking_for("a customer"):
        own = [asyncio.create_task(resolver.resolve(f"{n}.dead.example", 443)) for n in range(4)]
    await asked(names, 2)
    async with asyncio.timeout(PATIENCE):
        with asking_for("another"):
            assert await resolver.resolve("files.example", 443)
    assert len(names.asked) == 3, "the two that are left wait for the customer's share"
    names.answer()
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*own) == [("10.0.0.7", "10.0.0.8")] * 4


async def test_a_lookup_is_given_up_in_time_and_counts_until_it_has_ended(names: NameServers) -> None:
    resolver = Resolver(at_once=1, seconds=0.1)
    with pytest.raises(OSError, match="now"):
        await resolver.resolve("1.dead.example", 443)
    with pytest.raises(OSError, match="now"):
        await resolver.resolve("files.example", 443)
    assert names.asked == ["1.dead.example"]
    names.answer()
    async with asyncio.timeout(PATIENCE):
        while not await answered(resolver):
            pass


async def answered(resolver: Resolver) -> bool:
    try:
        return bool(await resolver.resolve("files.example", 443))
    except OSError:
        return False


async def test_lookups_that_nobody_waits_for_any_more_leave_their_places_once_they_end(
    names: NameServers,
) -> None:
    resolver = Resolver(at_once=2)
    left = [asyncio.create_task(resolver.resolve(f"{n}.dead.example", 443)) for n in range(2)]
    await asked(names, 2)
    await ended(*left)
    waiting = asyncio.create_task(resolver.resolve("files.example", 443))
    await asyncio.sleep(0)
    assert len(names.asked) == 2
    names.answer()
    async with asyncio.timeout(PATIENCE):
        assert await waiting


def test_a_process_ends_without_waiting_for_name_servers() -> None:
    program = """
import asyncio, socket, time
from contextlib import suppress
from server.providers.resolver import Resolver
socket.getaddrinfo = lambda *_, **__: time.sleep(60)
async def main():
    with suppress(OSError):
        await Resolver(seconds=0.05).resolve("1.dead.example", 443)
asyncio.run(main())
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], timeout=30, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
