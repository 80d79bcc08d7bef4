"""Limits of callers without a key: failed attempts of an address in a minute, and file streams that are open at once."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from babysea.common.v1 import error_reason_pb2
from kit.clock import Clock
from kit.errors import BabySeaError
from kit.settings import Region

FAILURES = 30
"""Failed attempts per address, region and window."""

WINDOW_SECONDS = 60
_CAPACITY = 100_000
PER_FILE = 20
"""Most streams of one file at once, in one gateway."""
PER_ADDRESS = 40
"""Most streams of files that one address (IPv6: one /64) has at once, in one gateway."""


@dataclass(frozen=True, slots=True)
class RateFacts:
    """What the X-RateLimit headers say."""

    limit: int
    """Requests per window."""
    remaining: int
    """Requests left in the window."""
    reset: int
    """Unix seconds at which the window resets."""


class FailureLimit:
    """Counts authentication failures in memory. An address is kept for one minute at most, and only as a keyed hash."""

    def __init__(self, clock: Clock, *, capacity: int = _CAPACITY) -> None:
        self._clock = clock
        self._capacity = capacity
        self._secret = secrets.token_bytes(32)
        self._window = 0
        self._failures: dict[bytes, int] = {}

    def count(self, region: Region, address: str) -> None:
        """Counts one failure."""
        self._turn()
        slot = self._slot(region, address)
        if slot not in self._failures and len(self._failures) >= self._capacity:
            # The oldest entry makes room, so that a flood of addresses costs memory no further.
            del self._failures[next(iter(self._failures))]
        self._failures[slot] = self._failures.get(slot, 0) + 1

    def facts(self, region: Region, address: str) -> RateFacts:
        """Where an address stands."""
        self._turn()
        failures = self._failures.get(self._slot(region, address), 0)
        reset = (self._window + 1) * WINDOW_SECONDS
        return RateFacts(limit=FAILURES, remaining=max(0, FAILURES - failures), reset=reset)

    def check(self, region: Region, address: str) -> None:
        """Lets an address pass that has attempts left.

        Raises:
            BabySeaError: AUTH_RATE_LIMITED, with the seconds until the window ends.
        """
        facts = self.facts(region, address)
        if facts.remaining:
            return
        wait = max(1, facts.reset - int(self._clock.now().timestamp()))
        raise BabySeaError(
            error_reason_pb2.ERROR_REASON_AUTH_RATE_LIMITED,
            details={"retry_after_seconds": str(wait), "limit": str(facts.limit)},
        )

    def _turn(self) -> None:
        window = int(self._clock.now().timestamp()) // WINDOW_SECONDS
        if window != self._window:
            self._window = window
            self._failures.clear()

    def _slot(self, region: Region, address: str) -> bytes:
        named = f"{region} {_network(address)}".encode()
        return hashlib.blake2b(named, key=self._secret, digest_size=16).digest()


class FileStreams:
    """Counts open streams of files, so that neither one URL nor one client takes all that a region gives to files."""

    def __init__(self) -> None:
        self._open: Counter[tuple[Region, str, str]] = Counter()

    @property
    def open(self) -> int:
        """Entries that are kept: a file and an address for each stream."""
        return len(self._open)

    @contextmanager
    def held(self, region: Region, file_token: str, address: str) -> Iterator[None]:
        """Holds a stream while the block lasts.

        Raises:
            BabySeaError: SERVICE_UNAVAILABLE, the file or the address has as many as it may.
        """
        places = {(region, "file", file_token): PER_FILE}
        if address:
            places[region, "address", _network(address)] = PER_ADDRESS
        if any(self._open[place] >= most for place, most in places.items() if place in self._open):
            raise BabySeaError(
                error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE, details={"retry_after_seconds": "1"}
            )
        self._open.update(places.keys())
        try:
            yield
        finally:
            for place in places:
                self._open[place] -= 1
                if not self._open[place]:
                    del self._open[place]


def _network(address: str) -> str:
    # One IPv6 customer owns at least a /64, so counting single addresses would limit nobody.
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False))
