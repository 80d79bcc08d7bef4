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
_SINGLES_AT_A_TIME = 3


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    key: int
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

    def __init__(
        self,
        name: str,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        stops_its_key: Callable[[BaseException], bool] = lambda _: False,
    ) -> None:
        """Makes a combiner.

        Args:
            name: of its spans and tasks.
            send: makes one batch and returns its results by position.
            stops_its_key: whether an item's failure (its account is locked, say) is every item's of the same key.
        """
        self._name = name
        self._send = send
        self._stops_its_key = stops_its_key
        self._singles = asyncio.Semaphore(_SINGLES_AT_A_TIME)
        self._lanes: tuple[_Lane[Item, Result], ...] = tuple(_Lane() for _ in range(LANES))

    async def submit(self, item: Item, key: int) -> Result:
        """The result of one item; items of one key (an account) share a lane and keep their order."""
        lane = self._lanes[key % LANES]
        link = trace.Link(trace.get_current_span().get_span_context())
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        lane.queue.append(_Waiting(item, key, future, contextvars.copy_context(), link))
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
            by_key: dict[int, list[_Waiting[Item, Result]]] = {}
            for waiting in batch:
                by_key.setdefault(waiting.key, []).append(waiting)
            # Side by side, so that one tenant's trouble does not hold up the others; in order within a key.
            await asyncio.gather(*(self._one_by_one(group) for group in by_key.values()))
            return
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(result)

    async def _one_by_one(self, group: list[_Waiting[Item, Result]]) -> None:
        async with self._singles:
            for position, waiting in enumerate(group):
                error = await self._alone(waiting)
                if error is not None and self._stops_its_key(error):
                    for rest in group[position + 1 :]:
                        if not rest.future.done():
                            rest.future.set_exception(error)
                    return

    async def _alone(self, waiting: _Waiting[Item, Result]) -> BaseException | None:
        # One item belongs to one tenant, so its statement joins that tenant's trace.
        task = asyncio.get_running_loop().create_task(
            self._one(waiting.item), name=f"{self._name} single", context=waiting.context
        )
        try:
            result = await task
        except Exception as error:  # noqa: BLE001 - handed to the caller, who knows what to do with it
            if not waiting.future.done():
                waiting.future.set_exception(error)
            return error
        if not waiting.future.done():
            waiting.future.set_result(result)
        return None

    async def _one(self, item: Item) -> Result:
        forget_database_wait()
        with span(self._name, attributes={"babysea.batch_size": 1}):
            return (await self._sent([item]))[0]

    async def _sent(self, items: Sequence[Item]) -> Sequence[Result]:
        results = await self._send(items)
        if len(results) != len(items):
            raise RuntimeError(f"{self._name} gave {len(results)} answers to {len(items)} items")
        return results
