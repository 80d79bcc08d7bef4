"""Windows that every process of the region shares, and what holds while Valkey is away."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable

from kit.clock import Clock
from kit.settings import Settings
from server.runtime.limits.counter import SOCKET_SECONDS, AwayError, ValkeyCounter
from server.runtime.limits.script import Question
from server.runtime.rate_limit import ProcessWindows, Standing, Windows, standing

LOOK_SECONDS = 0.25
"""Time between two looks at a Valkey that is away."""

KEY_PREFIX = "babysea:limit:"
_HASH_BYTES = 16
_PURPOSE = "limit_name"
_PROBE = "probe"
_UNREACHABLE_LIMIT = 1_000_000_000

_log = logging.getLogger("babysea.limits")


class SharedWindows:
    """Counts in Valkey. While it is away, this process goes on from what it last saw, for itself.

    Being away costs one request its budget and says so once; a task of our own then looks for Valkey, and requests are
    counted there again as soon as it counts.
    """

    def __init__(
        self, counter: ValkeyCounter, local: ProcessWindows, keyed_hash: Callable[[str, bytes], bytes]
    ) -> None:
        """Takes the connection, the windows for bad times, and the keyed hash that hides names from Valkey."""
        self._counter = counter
        self._local = local
        self._keyed_hash = keyed_hash
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_away(self) -> bool:
        """Whether this process limits by itself at present."""
        return self._looking is not None

    async def start(self) -> None:
        """Connects, so that no request pays for it; goes on without when Valkey is away."""
        try:
            await self._counter.ask(self._probe(), SOCKET_SECONDS)
        except AwayError as error:
            self._leave(error)

    async def take(self, name: str, limit: int) -> Standing:
        """Counts one request; the standing says whether it was within the limit."""
        return await self._shared(name, limit, counts=True) or await self._local.take(name, limit)

    async def peek(self, name: str, limit: int) -> Standing:
        """The standing without counting."""
        return await self._shared(name, limit, counts=False) or await self._local.peek(name, limit)

    async def close(self) -> None:
        """Ends the look-out and the connections."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        await self._counter.close()

    async def _shared(self, name: str, limit: int, *, counts: bool) -> Standing | None:
        """The standing as Valkey says it; None while it is away."""
        if self.is_away:
            return None
        try:
            answer = await self._counter.ask(Question(self._key(name), limit, counts))
        except AwayError as error:
            self._leave(error)
            return None
        self._local.learn(name, answer.count, answer.ends)
        return standing(limit, answer.count, answer.ends, answer.now, allowed=answer.allowed)

    def _key(self, name: str) -> str:
        return KEY_PREFIX + self._keyed_hash(_PURPOSE, name.encode())[:_HASH_BYTES].hex()

    def _leave(self, error: AwayError) -> None:
        if self._looking is None:
            _log.warning("limits are local: Valkey is away", extra={"facts": {"why": str(error)}})
            # An empty context: the request that noticed it is over long before.
            self._looking = asyncio.get_running_loop().create_task(
                self._look_out(), name="look for Valkey", context=contextvars.Context()
            )

    def _probe(self) -> Question:
        # A counted request, not a ping: a Valkey that answers but cannot write is still away.
        return Question(self._key(_PROBE), _UNREACHABLE_LIMIT, counts=True)

    async def _look_out(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                # Nobody waits for this one, and it may have to connect first.
                await self._counter.ask(self._probe(), SOCKET_SECONDS)
            except AwayError:
                continue
            _log.info("limits are shared again: Valkey is back")
            self._looking = None
            return


async def open_windows(
    settings: Settings, clock: Clock, keyed_hash: Callable[[str, bytes], bytes]
) -> Windows:
    """The windows that the settings ask for: shared with a Valkey URL, of this process alone without.

    Raises:
        StartError: the URL is none.
    """
    local = ProcessWindows(clock)
    url = settings.valkey_url.get_secret_value()
    if not url:
        return local
    shared = SharedWindows(ValkeyCounter(url, settings.valkey_budget_seconds), local, keyed_hash)
    await shared.start()
    return shared
