"""Resident memory of every process over a soak, and whether it grows."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import psutil

from tests.support.deployment import Deployment

MB = 1024 * 1024
EVERY_SECONDS = 2.0
WARM_UP_SECONDS = 120.0
"""A fresh process still imports, fills pools and learns keys; its growth in that time is no leak."""
LONG_SECONDS = 300.0
"""A life must last so long for its growth to be judged."""
MOST_MB_A_MINUTE = 1.0


@dataclass
class Life:
    """One process of a program."""

    name: str
    pid: int
    samples: list[tuple[float, float]] = field(default_factory=list)
    """Monotonic seconds and MB."""

    @property
    def seconds(self) -> float:
        """How long it was watched."""
        return self.samples[-1][0] - self.samples[0][0]

    def at(self, share: float) -> float:
        """MB at a share of its life."""
        return self.samples[round(share * (len(self.samples) - 1))][1]

    def after(self, seconds: float) -> float:
        """MB so many seconds after its beginning, or at its end."""
        begun = self.samples[0][0]
        return next((mb for at, mb in self.samples if at - begun >= seconds), self.samples[-1][1])

    def slope(self) -> float | None:
        """MB a minute after the warm-up, by least squares; None for a life too short to say."""
        begun = self.samples[0][0]
        points = [((at - begun) / 60, mb) for at, mb in self.samples if at - begun >= WARM_UP_SECONDS]
        if self.seconds < LONG_SECONDS or len(points) < 10:
            return None
        mean_at = sum(at for at, _ in points) / len(points)
        mean_mb = sum(mb for _, mb in points) / len(points)
        spread = sum((at - mean_at) ** 2 for at, _ in points)
        return sum((at - mean_at) * (mb - mean_mb) for at, mb in points) / spread


class Memory:
    """Looks at every program of a stack until it is cancelled."""

    def __init__(self, stack: Deployment) -> None:
        self._stack = stack
        self._lives: dict[int, Life] = {}

    async def watch(self) -> None:
        """Looks every two seconds."""
        while True:
            now = time.monotonic()
            pids = {**self._stack.pids(), "supervisor": self._stack.supervisor()}
            for name, pid in pids.items():
                try:
                    mb = psutil.Process(pid).memory_info().rss / MB
                except psutil.NoSuchProcess:
                    continue
                self._lives.setdefault(pid, Life(name, pid)).samples.append((now, mb))
            await asyncio.sleep(EVERY_SECONDS)

    def longest(self) -> list[Life]:
        """The longest life of each program."""
        found: dict[str, Life] = {}
        for life in self._lives.values():
            if life.name not in found or life.seconds > found[life.name].seconds:
                found[life.name] = life
        return [found[name] for name in sorted(found)]
