"""Fetched input files stay exactly as long as somebody needs them."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from babysea.common.v1 import error_reason_pb2 as reasons
from server.generation.execution.inputs import HeldInputs, Inputs
from server.providers.guard import GuardedBackend
from server.providers.inputs import InputFetcher, InputRefused
from server.providers.protocol import Fault, FaultKind, InputFile
from server.providers.resolver import Resolver
from server.runtime.leases import Job

GENERATION = UUID("01935000-0000-7000-8000-000000000002")
FIRST, SECOND = Job(GENERATION, 1, 1), Job(GENERATION, 2, 2)


@dataclass
class Host:
    """Stands for every file host: a name that begins with "bad" is refused, one with "slow" never comes."""

    folder: Path
    asked: int = 0

    async def fetch(self, url: str, _limits: object) -> InputFile:
        self.asked += 1
        path = self.folder / f"{self.asked}"
        path.write_bytes(url.encode())
        if "slow" in url:
            try:
                await asyncio.Event().wait()
            finally:
                path.unlink()
        if "bad" in url:
            path.unlink()
            raise InputRefused(reasons.ERROR_REASON_FILE_LOAD_ERROR, url)
        return InputFile(path, "image/png", url=url)


ACCOUNT, ANOTHER = uuid4(), uuid4()


def work(job: Job, *urls: str, last: str = "", account: UUID = ACCOUNT) -> Any:
    request = SimpleNamespace(input_file=urls, input_file_last_content=last)
    return SimpleNamespace(job=job, account_id=account, request=request)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def inputs(host: Host) -> Inputs:
    return Inputs(cast("InputFetcher", host), at_once=6)


def left(host: Host) -> int:
    return len(list(host.folder.iterdir()))


async def prepared(inputs: Inputs, job: Job, *urls: str, last: str = "") -> HeldInputs:
    held = await inputs.prepare(work(job, *urls, last=last))
    assert isinstance(held, HeldInputs)
    return held


async def test_a_request_without_files_asks_nobody(inputs: Inputs, host: Host) -> None:
    assert (await prepared(inputs, FIRST)).files == ()
    assert host.asked == 0


async def test_a_claim_fetches_once_in_order_and_its_end_removes_the_files(
    inputs: Inputs, host: Host
) -> None:
    held = await prepared(inputs, FIRST, "a", "b", last="z")
    assert [file.url for file in held.files] == ["a", "b"]
    assert await prepared(inputs, FIRST, "a", "b", last="z") is held
    assert (host.asked, left(host)) == (3, 3)
    inputs.forget(FIRST)
    assert left(host) == 0
    inputs.forget(FIRST)


async def test_a_call_that_outlives_its_step_keeps_the_files(inputs: Inputs, host: Host) -> None:
    held = await prepared(inputs, FIRST, "a")
    held.hold()
    inputs.forget(FIRST)
    assert left(host) == 1
    held.release()
    assert left(host) == 0


async def test_the_end_of_a_lost_claim_takes_nothing_from_the_next_one(inputs: Inputs, host: Host) -> None:
    await prepared(inputs, FIRST, "a")
    await prepared(inputs, SECOND, "a")
    inputs.forget(FIRST)
    assert left(host) == 1
    inputs.forget(SECOND)
    assert left(host) == 0


async def test_the_first_bad_file_is_the_fault_and_no_other_is_kept(inputs: Inputs, host: Host) -> None:
    fault = await inputs.prepare(work(FIRST, "a", "bad 1", "bad 2", last="z"))
    assert fault == Fault(FaultKind.REQUEST, reasons.ERROR_REASON_FILE_LOAD_ERROR, "bad 1")
    assert left(host) == 0
    inputs.forget(FIRST)


async def test_a_bad_last_frame_is_a_fault_too(inputs: Inputs, host: Host) -> None:
    assert isinstance(await inputs.prepare(work(FIRST, "a", last="bad")), Fault)
    assert left(host) == 0


async def test_a_canceled_step_leaves_no_file(inputs: Inputs, host: Host) -> None:
    step = asyncio.create_task(inputs.prepare(work(FIRST, "a", "slow")))
    while host.asked < 2:
        await asyncio.sleep(0)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert left(host) == 0


async def test_an_account_fetches_for_a_few_generations_at_a_time_and_others_still_find_room(
    inputs: Inputs, host: Host
) -> None:
    slow = [asyncio.create_task(inputs.prepare(work(Job(uuid4(), 1, 1), "slow"))) for _ in range(4)]
    while host.asked < 4:
        await asyncio.sleep(0)
    assert await inputs.prepare(work(FIRST, "a")) is None
    assert isinstance(await inputs.prepare(work(FIRST)), HeldInputs), "without files nothing is waited for"
    assert isinstance(await inputs.prepare(work(SECOND, "a", account=ANOTHER)), HeldInputs)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert isinstance(await inputs.prepare(work(FIRST, "a")), HeldInputs), "the room comes back"


async def test_all_accounts_together_leave_room_for_requests_without_files(
    inputs: Inputs, host: Host
) -> None:
    slow = [
        asyncio.create_task(inputs.prepare(work(Job(uuid4(), 1, 1), "slow", account=uuid4())))
        for _ in range(6)
    ]
    while host.asked < 6:
        await asyncio.sleep(0)
    assert await inputs.prepare(work(FIRST, "a", account=ANOTHER)) is None
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_dead_names_of_one_account_leave_room_to_look_up_those_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = threading.Event()

    def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        if host.startswith("dead"):
            answering.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    backend = GuardedBackend(allow_loopback=False, resolve=Resolver(at_once=3, share=2).resolve)
    fetcher = InputFetcher(backend, allow_loopback=False, directory=tmp_path)
    inputs = Inputs(fetcher, at_once=6)
    dead = [f"http://dead{n}.example/a.png" for n in range(4)]
    slow = asyncio.create_task(inputs.prepare(work(FIRST, *dead)))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        fault = await inputs.prepare(work(SECOND, "http://files.example/a.png", account=ANOTHER))
    assert isinstance(fault, Fault), "its name was looked up, and leads into a private network"
    assert not slow.done()
    answering.set()
    assert isinstance(await slow, Fault)
    await fetcher.aclose()
