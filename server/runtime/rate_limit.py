"""Counting requests per window: limits of accounts, and of failed attempts per address."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from babysea.common.v1 import error_reason_pb2
from kit.clock import Clock
from kit.errors import BabySeaError
from kit.rpc import RATE_LIMIT_LIMIT, RATE_LIMIT_REMAINING, RATE_LIMIT_RESET
from server.runtime.identity import KeyHolder, Member

WINDOW_SECONDS = 60
"""Length of every window; it begins with the first request in it."""

MEMBER_REQUESTS_PER_WINDOW = 300
"""Requests of one signed-in person per window; apart from the account's, so that pages cost its programs nothing."""

AUTH_FAILURES_PER_WINDOW = 30
"""Failed key verifications that one client address may cause per window."""

CLEAR_SECONDS = 1.0
"""How long an address that may try is not looked up again; its failures are counted one by one all the same."""

_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands in the current window."""

    limit: int
    remaining: int
    reset_at: int
    """Unix seconds at which the window ends, rounded up."""
    retry_after: int
    """Whole seconds until then, at least 1."""
    allowed: bool
    """Whether the request that asked is within the limit."""

    def trailing(self) -> dict[str, str]:
        """The facts as trailing metadata, from which the gateway makes the X-RateLimit headers."""
        return {
            RATE_LIMIT_LIMIT: str(self.limit),
            RATE_LIMIT_REMAINING: str(self.remaining),
            RATE_LIMIT_RESET: str(self.reset_at),
        }

    def details(self) -> dict[str, str]:
        """The facts as details of a refusal."""
        return {"retry_after_seconds": str(self.retry_after), "limit": str(self.limit)}


class Windows(Protocol):
    """Counts per name and window: of this process, or of all processes that share a Valkey."""

    async def take(self, name: str, limit: int) -> Standing:
        """Counts one request; the standing says whether it was within the limit."""
        ...

    async def peek(self, name: str, limit: int) -> Standing:
        """The standing without counting; `allowed` says whether one more would be within the limit."""
        ...

    async def close(self) -> None:
        """Ends what goes on in the background."""
        ...


class ProcessWindows:
    """Windows in the memory of this process, so a server of n processes lets up to n times the limit pass."""

    def __init__(self, clock: Clock, remembered: int = _REMEMBERED) -> None:
        """Takes the clock and how many names to remember; the least recently used is forgotten first."""
        self._clock = clock
        self._remembered = remembered
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    async def take(self, name: str, limit: int) -> Standing:
        """Counts one request; the standing says whether it was within the limit."""
        now, begun, count = self._current(name)
        allowed = count < limit
        if allowed:
            count += 1
            self._keep(name, begun, count)
        return standing(limit, count, begun + WINDOW_SECONDS, now, allowed=allowed)

    async def peek(self, name: str, limit: int) -> Standing:
        """The standing without counting."""
        now, begun, count = self._current(name)
        return standing(limit, count, begun + WINDOW_SECONDS, now, allowed=count < limit)

    def learn(self, name: str, count: int, ends: float) -> None:
        """Takes over a count from elsewhere, of a window that ends at a time in Unix seconds."""
        if count:
            self._keep(name, ends - WINDOW_SECONDS, count)

    async def close(self) -> None:
        """Nothing goes on in the background."""

    def _keep(self, name: str, begun: float, count: int) -> None:
        self._windows[name] = (begun, count)
        self._windows.move_to_end(name)
        if len(self._windows) > self._remembered:
            self._windows.popitem(last=False)

    def _current(self, name: str) -> tuple[float, float, int]:
        now = self._clock.now().timestamp()
        begun, count = self._windows.get(name, (now, 0))
        if now >= begun + WINDOW_SECONDS:
            begun, count = now, 0
        return now, begun, count


class AccountLimits:
    """Requests per minute of each account: its plan's number, or its own."""

    def __init__(self, windows: Windows, requests_per_minute: Callable[[str], int]) -> None:
        """Takes the counters and the number of each plan id."""
        self._windows = windows
        self._of_plan = requests_per_minute

    async def take(self, key: KeyHolder) -> Standing:
        """Counts a request of the key's account."""
        return await self._windows.take(f"account:{key.account_id}", self._limit(key))

    async def peek(self, key: KeyHolder) -> Standing:
        """The standing of the key's account."""
        return await self._windows.peek(f"account:{key.account_id}", self._limit(key))

    async def take_member(self, member: Member) -> Standing:
        """Counts a request of a signed-in person."""
        return await self._windows.take(f"person:{member.person_id}", MEMBER_REQUESTS_PER_WINDOW)

    def _limit(self, key: KeyHolder) -> int:
        return self._of_plan(key.plan) if key.requests_per_minute is None else key.requests_per_minute


class AuthFailures:
    """Failed attempts per client address, so that nobody guesses keys or burns our processors with bcrypt.

    Exactly so many failures are answered as such per window, whichever processes see them: a further one is refused as
    being over the limit, also when it was under way before the limit was reached.
    """

    def __init__(
        self, windows: Windows, address_hash: Callable[[str], str], limit: int = AUTH_FAILURES_PER_WINDOW
    ) -> None:
        """Takes the counters, the keyed hash of addresses (no raw address is ever stored) and the limit."""
        self._windows = windows
        self._hash = address_hash
        self._limit = limit
        # Good keys come from the same few addresses all the time, and need no question each.
        self._clear: OrderedDict[str, float] = OrderedDict()

    async def check(self, address: str) -> None:
        """Lets an attempt from an address pass.

        Raises:
            BabySeaError: AUTH_RATE_LIMITED when too many failed in this window, here or (up to `CLEAR_SECONDS` ago) in
                another process.
        """
        name = self._name(address)
        if time.monotonic() < self._clear.get(name, 0.0):
            return
        now = await self._windows.peek(name, self._limit)
        if not now.allowed:
            raise over_the_limit(now)
        self._clear[name] = time.monotonic() + CLEAR_SECONDS
        if len(self._clear) > _REMEMBERED:
            self._clear.popitem(last=False)

    async def record(self, address: str) -> Standing:
        """Counts a failed attempt; the standing says whether it was within the limit."""
        name = self._name(address)
        self._clear.pop(name, None)
        return await self._windows.take(name, self._limit)

    async def standing(self, address: str) -> Standing:
        """Where an address stands."""
        return await self._windows.peek(self._name(address), self._limit)

    def _name(self, address: str) -> str:
        return f"auth:{self._hash(_network(address))}"


def over_the_limit(standing: Standing) -> BabySeaError:
    """The refusal of an address with too many failures."""
    return BabySeaError(error_reason_pb2.ERROR_REASON_AUTH_RATE_LIMITED, details=standing.details())


def _network(address: str) -> str:
    # Whoever has one IPv6 address usually has the 2^64 around it.
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)


def standing(limit: int, count: int, ends: float, now: float, *, allowed: bool) -> Standing:
    """The standing after `count` requests in a window that ends at `ends`; both times in Unix seconds."""
    return Standing(
        limit=limit,
        remaining=max(0, limit - count),
        reset_at=math.ceil(ends),
        retry_after=max(1, math.ceil(ends - now)),
        allowed=allowed,
    )
