"""The connection to Valkey: questions of concurrent requests travel together, and none waits longer than its budget."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from server.runtime.errors import StartError
from server.runtime.limits.script import COUNT, Answer, Question, answers, arguments
from server.runtime.rate_limit import WINDOW_SECONDS

if TYPE_CHECKING:
    from valkey.asyncio import Valkey

BUDGET_SECONDS = 0.02
"""Time that one request may spend on asking Valkey, unless the settings say otherwise."""

SOCKET_SECONDS = 1.0
"""Time for connecting, and for one answer to a whole batch."""

_STEPS = 4
_LARGEST_BATCH = 256
_SCHEMES = {"redis": "valkey", "rediss": "valkeys", "valkey": "valkey", "valkeys": "valkeys"}
_Waiting = tuple[Question, "asyncio.Future[Answer]"]


class AwayError(Exception):
    """Valkey gave no usable answer in time; the text names the kind of failure and no address."""


class ValkeyCounter:
    """Asks the counting script. No timer: a question goes out at once unless others are under way."""

    def __init__(self, url: str, budget_seconds: float = BUDGET_SECONDS) -> None:
        """Takes the URL (redis, rediss, valkey or valkeys) and the budget of a question; nothing connects yet.

        Raises:
            StartError: it is no such URL.
        """
        self._budget = budget_seconds
        self._client = _client(url)
        self._script = self._client.register_script(COUNT)
        self._queue: deque[_Waiting] = deque()
        self._pump: asyncio.Task[None] | None = None

    async def ask(self, question: Question, budget_seconds: float | None = None) -> Answer:
        """The answer to one question, within the budget or another one.

        Raises:
            AwayError: there was none within the budget.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((question, future))
        if self._pump is None or self._pump.done():
            # An empty context: a batch serves several tenants, whose traces must not mix.
            self._pump = asyncio.get_running_loop().create_task(
                self._send_all(), name="limits", context=contextvars.Context()
            )
        try:
            # In steps: when this process was too busy to look, an answer that has come is taken and not called late.
            for _ in range(_STEPS):
                await asyncio.wait({future}, timeout=(budget_seconds or self._budget) / _STEPS)
                if future.done():
                    return future.result()
        finally:
            future.cancel()
        raise AwayError("no answer in time")

    async def close(self) -> None:
        """Ends the connections."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait({self._pump})
        await self._client.aclose()

    async def _send_all(self) -> None:
        while self._queue:
            batch: list[_Waiting] = []
            while self._queue and len(batch) < _LARGEST_BATCH:
                waiting = self._queue.popleft()
                # Whoever gave up has been counted here, so it must not be counted there as well.
                if not waiting[1].done():
                    batch.append(waiting)
            if batch:
                await self._send(batch)

    async def _send(self, batch: Sequence[_Waiting]) -> None:
        try:
            found = await self._run([question for question, _ in batch])
        except AwayError as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, found, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _run(self, questions: Sequence[Question]) -> list[Answer]:
        keys = [question.key for question in questions]
        try:
            reply = await self._script(keys=keys, args=arguments(questions, WINDOW_SECONDS))
            return answers(reply, len(questions))
        except Exception as error:  # noqa: BLE001 - whatever it is, requests go on without
            # Its text may hold the URL.
            raise AwayError(type(error).__name__) from None


def _client(url: str) -> Valkey:
    from valkey.asyncio import Valkey

    scheme, _, rest = url.partition("://")
    # Without this the client would take any certificate of a trusted authority for that of our Valkey.
    more = {"ssl_check_hostname": True} if _SCHEMES.get(scheme) == "valkeys" else {}
    try:
        client: Valkey = Valkey.from_url(
            f"{_SCHEMES[scheme]}://{rest}",
            **more,
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=SOCKET_SECONDS,
        )
    except (KeyError, ValueError):
        # The text holds the password.
        raise StartError(
            "BABYSEA_VALKEY_URL is not a URL of Valkey or Redis; write it like valkey://:password@host:6379."
        ) from None
    return client
