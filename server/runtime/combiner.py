"""Combines concurrent single calls into few batched ones: one transaction, one flush, one lock for many callers.

No timer: a call goes out at once when its lane is idle; while one is in flight the next ones gather. So an idle system
pays no delay and a busy one fills its batches by itself.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from opentelemetry import trace

from kit.telemetry import span
from server.runtime.database import forget_database_wait, note_database_wait

Item = TypeVar("Item")
Result = TypeVar("Result")

LARGEST_BATCH = 64
LANES = 2


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    future: asyncio.Future[Result]
    context: contextvars.Context
    link: trace.Link


@dataclass(slots=True)
class _Lane(Generic[Item, Result]):
    queue: deque[_Waiting[Item, Result]] = field(default_factory=deque)
    pump: asyncio.Task[None] | None = None


class Combiner(Generic[Item, Result]):
    """Gathers items and sends them in batches; results come back by position.

    A caller that is cancelled before its item went out takes it out of the queue; afterwards the batch runs to its end
    whatever its callers do. When a batch fails, each item is sent again alone, so that one bad item spoils no other.
    """

    def __init__(self, name: str, send: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._name = name
        self._send = send
        self._lanes: tuple[_Lane[Item, Result], ...] = tuple(_Lane() for _ in range(LANES))

    async def submit(self, item: Item, key: int) -> Result:
        """The result of one item; items of one key (an account) share a lane and keep their order."""
        lane = self._lanes[key % LANES]
        link = trace.Link(trace.get_current_span().get_span_context())
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        lane.queue.append(_Waiting(item, future, contextvars.copy_context(), link))
        if lane.pump is None or lane.pump.done():
            # An empty context: a batch serves several tenants, whose traces must not mix.
            lane.pump = asyncio.get_running_loop().create_task(
                self._drain(lane), name=f"{self._name} lane", context=contextvars.Context()
            )
        started = time.perf_counter()
        try:
            return await future
        finally:
            note_database_wait(time.perf_counter() - started)

    async def close(self) -> None:
        """Waits until everything that was submitted has its result."""
        for lane in self._lanes:
            if lane.pump is not None:
                await lane.pump

    async def _drain(self, lane: _Lane[Item, Result]) -> None:
        while lane.queue:
            batch: list[_Waiting[Item, Result]] = []
            while lane.queue and len(batch) < LARGEST_BATCH:
                waiting = lane.queue.popleft()
                if not waiting.future.cancelled():
                    batch.append(waiting)
            if len(batch) == 1:
                await self._alone(batch[0])
            elif batch:
                await self._together(batch)

    async def _together(self, batch: list[_Waiting[Item, Result]]) -> None:
        attributes = {"babysea.batch_size": len(batch)}
        try:
            with span(self._name, links=[waiting.link for waiting in batch], attributes=attributes):
                results = await self._sent([waiting.item for waiting in batch])
        except Exception:  # noqa: BLE001 - whatever it was, each item finds out alone
            for waiting in batch:
                await self._alone(waiting)
            return
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(result)

    async def _alone(self, waiting: _Waiting[Item, Result]) -> None:
        # One item belongs to one tenant, so its statement joins that tenant's trace.
        task = asyncio.get_running_loop().create_task(
            self._one(waiting.item), name=f"{self._name} single", context=waiting.context
        )
        try:
            result = await task
        except Exception as error:  # noqa: BLE001 - handed to the caller, who knows what to do with it
            if not waiting.future.done():
                waiting.future.set_exception(error)
            return
        if not waiting.future.done():
            waiting.future.set_result(result)

    async def _one(self, item: Item) -> Result:
        forget_database_wait()
        with span(self._name, attributes={"babysea.batch_size": 1}):
            return (await self._sent([item]))[0]

    async def _sent(self, items: Sequence[Item]) -> Sequence[Result]:
        results = await self._send(items)
        if len(results) != len(items):
            raise RuntimeError(f"{self._name} gave {len(results)} answers to {len(items)} items")
        return results
