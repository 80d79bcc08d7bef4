"""The soak's troubles: which program dies when, and how long it takes until it serves again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
import httpx

from cli.supervisor.readiness import serving
from tests.support.deployment import Deployment

_HEALS_SECONDS = 90.0
_VALKEY_FROZEN_SECONDS = 4.0
_PROGRAMS = ("us server 1", "us server 2", "us worker 1", "us worker 2", "gateway")
_LATER = ("us server 1", "us worker 1")
"""In the later part only these die, so that the memory of the others is seen over minutes."""
EARLY_SHARE = 0.4


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong."""

    at: float
    """Seconds after the beginning."""
    what: str
    """Name of a program, "postgres stop", "postgres kill" or "valkey"."""


@dataclass
class Healed:
    """What became of it."""

    trouble: Trouble
    seconds: float | None
    """Until it served again; None when it did not in time."""


def plan(seconds: float, kills: int, databases: int, seed: int) -> list[Trouble]:
    """Troubles spread over a run, in order; the last seconds stay quiet enough for the last one to heal."""
    dice = random.Random(seed)
    room = seconds * 0.95
    found = []
    for number in range(kills):
        at = room * (number + dice.uniform(0.2, 0.8)) / kills
        early = at < seconds * EARLY_SHARE
        # The early part kills each in turn, so that each is killed at least once.
        what = _PROGRAMS[number % len(_PROGRAMS)] if early else dice.choice(_LATER)
        found.append(Trouble(at, what))
    found += [
        Trouble(room * (number + 0.5) / databases, ("postgres stop", "postgres kill")[number % 2])
        for number in range(databases)
    ]
    found.append(Trouble(room * 0.25, "valkey"))
    return sorted(found, key=lambda trouble: trouble.at)


@dataclass
class Chaos:
    """Makes the troubles of a plan and times their healing."""

    stack: Deployment
    troubles: list[Trouble]
    healed: list[Healed] = field(default_factory=list)

    async def run(self) -> None:
        """Makes every trouble at its time; returns when the last one has healed."""
        begun = time.monotonic()
        async with asyncio.TaskGroup() as healing:
            for trouble in self.troubles:
                await asyncio.sleep(max(0.0, begun + trouble.at - time.monotonic()))
                healing.create_task(self._make(trouble))

    async def _make(self, trouble: Trouble) -> None:
        begun = time.monotonic()
        heals = await self._hurt(trouble.what)
        try:
            async with asyncio.timeout(_HEALS_SECONDS):
                while not await heals():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            self.healed.append(Healed(trouble, None))
            return
        self.healed.append(Healed(trouble, time.monotonic() - begun))

    async def _hurt(self, what: str) -> Callable[[], Awaitable[bool]]:
        if what.startswith("postgres"):
            return await self._hurt_database(what)
        name = "us valkey" if what == "valkey" else what
        old = self.stack.pid(name)
        if what == "valkey":
            # First it hangs, which is worse than being gone, then it is gone.
            self.stack.signal_group(name, signal.SIGSTOP)
            await asyncio.sleep(_VALKEY_FROZEN_SECONDS)
            self.stack.signal_group(name, signal.SIGKILL)
        else:
            with suppress(ProcessLookupError):
                os.kill(old, signal.SIGKILL)

        hurt_at = datetime.now(UTC)

        async def heals() -> bool:
            return self.stack.pid(name) != old and await self._serves(name, hurt_at)

        return heals

    async def _hurt_database(self, what: str) -> Callable[[], Awaitable[bool]]:
        old = await asyncio.to_thread(self.stack.postmaster)
        if what == "postgres stop":
            await asyncio.to_thread(self.stack.stop_database)
        elif old is not None:
            os.kill(old, signal.SIGKILL)

        async def heals() -> bool:
            now = await asyncio.to_thread(self.stack.postmaster)
            return now not in {None, old} and await self._reads_balance()

        return heals

    async def _serves(self, name: str, since: datetime) -> bool:
        kind = name.split()[-2] if name[-1].isdigit() else name.split()[-1]
        match kind:
            case "server":
                address = self.stack.region["grpc_all"][int(name[-1]) - 1]
                return await asyncio.to_thread(serving, address)
            case "gateway":
                return await self._reads_balance()
            case "worker":
                # Its lease is what a worker shows of itself; it takes one before it works.
                return await self._leases(since) > 0
            case _:
                return True

    async def _reads_balance(self) -> bool:
        """Whether a customer gets an answer that only the database knows."""
        region = self.stack.region
        headers = {"Authorization": f"Bearer {region['api_key']}"}
        try:
            async with httpx.AsyncClient(
                base_url=region["api"], headers=headers, timeout=30, trust_env=False
            ) as client:
                return (await client.get("/v1/user/billing")).status_code == 200
        except httpx.TransportError:
            return False

    async def _leases(self, since: datetime) -> int:
        try:
            return await self.stack.value(
                "select count(*) from runtime.worker where expires_at > now() and started_at > $1", since
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return 0
