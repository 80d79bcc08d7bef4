"""Background work that is done again and again, for as long as a program runs."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from types import TracebackType
from typing import Self

_log = logging.getLogger(__name__)


class Repeating:
    """Something that is done again and again and outlives every failure; a context manager around a program's run."""

    def __init__(
        self, name: str, seconds: float, *, trouble: str, after_failure: float | None = None
    ) -> None:
        """Takes how it is repeated.

        Args:
            name: of its task.
            seconds: pause between two times; 0 never does it.
            trouble: the sentence that is logged when it failed.
            after_failure: pause after a failure; `seconds` when omitted.
        """
        self._name = name
        self._seconds = seconds
        self._trouble = trouble
        self._after_failure = seconds if after_failure is None else after_failure
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begins, unless the pause is 0."""
        if self._seconds > 0:
            self._task = asyncio.create_task(self._repeat(), name=self._name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends, in the middle of it if need be."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def once(self) -> float | None:
        """Does it; the pause until the next time, or None for the usual one."""
        raise NotImplementedError

    async def _repeat(self) -> None:
        while True:
            pause: float | None = self._after_failure
            try:
                pause = await self.once()
            except Exception:  # noqa: BLE001 - it outlives every failure
                _log.warning(self._trouble, exc_info=True)
            await asyncio.sleep(self._seconds if pause is None else pause)
