"""Our own disk in trouble: finished work waits for it, nobody pays twice, and nothing is left lying about."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from babysea.generation.v1 import generation_pb2
from server.generation.execution import outputs
from server.generation.storage import OutputStore
from server.providers import download
from server.providers.download import Downloaded, OutputGone
from tests.integration.resilience.trouble import CREDIT, PRICE, cancel, files_below, rows, until
from tests.support.stack import Customer, Stack


def failures_of(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> Callable[[], Awaitable[None]]:
    """Watches something real; returns a wait for its next failure."""
    real, failed = getattr(owner, name), asyncio.Event()

    async def watched(*args: Any, **named: Any) -> Any:
        try:
            return await real(*args, **named)
        except Exception:
            failed.set()
            raise

    async def next_failure() -> None:
        failed.clear()
        await asyncio.wait_for(failed.wait(), 20)

    monkeypatch.setattr(owner, name, watched)
    return next_failure


def replace_by_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("in the way")


def repair(folder: Path) -> None:
    folder.unlink()
    folder.mkdir()


def data(stack: Stack) -> Path:
    return Path(stack.server.shared.settings.data_dir)


async def recorded(stack: Stack, generation_id: str) -> list[str]:
    found = "select storage_key from generation.output where generation_id = $1 order by 1"
    return [Path(row["storage_key"]).name for row in await rows(stack, found, UUID(generation_id))]


@pytest.mark.parametrize(
    ("place", "owner", "name"),
    [("storage", OutputStore, "write"), ("tmp/us", outputs, "fetch_output")],
    ids=["output storage", "download folder"],
)
async def test_a_folder_that_cannot_be_written_makes_the_generation_wait_for_its_repair(
    stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch, place: str, owner: object, name: str
) -> None:
    failed = failures_of(monkeypatch, owner, name)
    folder = data(stack) / place
    replace_by_a_file(folder)
    generation_id = (await customer.create()).generation.generation_id
    await failed()
    assert (await customer.get(generation_id)).generation.state == generation_pb2.STATE_PROCESSING
    repair(folder)
    record = await customer.finished(generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert [attempt.provider for attempt in record.attempts] == ["replicate"]
    assert len(await stack.log()) == 1
    assert files_below(data(stack) / "storage") == await recorded(stack, generation_id)
    assert files_below(data(stack) / "tmp") == []
    assert await customer.balance() == (CREDIT - PRICE, 0)


async def test_storage_that_stays_away_past_the_deadline_and_its_grace_gives_the_money_back(
    stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = failures_of(monkeypatch, OutputStore, "write")
    replace_by_a_file(data(stack) / "storage")
    generation_id = (await customer.create()).generation.generation_id
    await failed()
    past = "update generation.generation set deadline_at = now() - $2 * interval '1 second' where id = $1"
    await rows(stack, past, UUID(generation_id), 800)
    await failed()
    assert (await customer.get(generation_id)).generation.state == generation_pb2.STATE_PROCESSING
    await rows(stack, past, UUID(generation_id), 901)
    record = await customer.finished(generation_id)
    assert record.generation.state == generation_pb2.STATE_FAILED
    assert len(await stack.log()) == 1
    assert await customer.balance() == (CREDIT, 0)
    assert files_below(data(stack) / "tmp") == []
    assert await stack.region.audit() == []


async def test_a_file_that_is_gone_takes_none_of_the_others_with_it(
    stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, fetched = download.fetch_output, list[str]()

    async def third_is_gone(*args: Any, **named: Any) -> Downloaded:
        fetched.append(args[1])
        if len(fetched) == 3:
            raise OutputGone(404)
        return await fetch(*args, **named)

    monkeypatch.setattr(outputs, "fetch_output", third_is_gone)
    generation_id = (await customer.create(output_number=4)).generation.generation_id
    record = await customer.finished(generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert [attempt.provider for attempt in record.attempts] == ["replicate"]
    assert record.generation.charged_micros == record.generation.price_micros * 3 // 4
    kept = await recorded(stack, generation_id)
    assert len(kept) == 3
    assert files_below(data(stack) / "storage") == kept
    assert files_below(data(stack) / "tmp") == []
    assert await stack.region.audit() == []


async def test_an_attempt_that_stored_files_and_then_lost_its_worker_leaves_none_of_them(
    stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, fetched = download.fetch_output, list[str]()

    async def breaks_off_then_all_are_gone(*args: Any, **named: Any) -> Downloaded:
        fetched.append(args[1])
        if len(fetched) == 3:
            raise RuntimeError("the step dies here")
        if 3 < len(fetched) <= 7:
            raise OutputGone(404)
        return await fetch(*args, **named)

    monkeypatch.setattr(outputs, "fetch_output", breaks_off_then_all_are_gone)
    generation_id = (await customer.create(output_number=4)).generation.generation_id
    record = await customer.finished(generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert [attempt.provider for attempt in record.attempts] == ["replicate", "fal"]
    kept = await recorded(stack, generation_id)
    assert len(kept) == 4
    assert files_below(data(stack) / "storage") == kept
    assert files_below(data(stack) / "tmp") == []


@pytest.mark.parametrize("crash", [False, True], ids=["at once", "after a crash"])
async def test_files_stored_for_a_generation_canceled_meanwhile_are_removed(
    stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch, crash: bool
) -> None:
    write, written = OutputStore.write, list[str]()

    async def write_then_cancel(self: OutputStore, key: str, source: Path, content_type: str) -> None:
        await write(self, key, source, content_type)
        await cancel(customer, generation_id)
        written.extend(files_below(data(stack) / "storage"))
        if crash:
            raise RuntimeError("the worker dies here")

    monkeypatch.setattr(OutputStore, "write", write_then_cancel)
    generation_id = (await customer.create()).generation.generation_id

    async def wound_down() -> bool:
        return not await rows(stack, "select 1 from runtime.job where id = $1", UUID(generation_id))

    await until(wound_down)
    record = await customer.get(generation_id)
    assert record.generation.state == generation_pb2.STATE_CANCELED
    assert len(written) == 1
    assert files_below(data(stack) / "storage") == []
    assert files_below(data(stack) / "tmp") == []
    assert await customer.balance() == (CREDIT, 0)
