"""A stack whose worker is the stage's own: it can be started anew, with other settings and with no memory of faults."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psutil

from cli.supervisor.environment import command as program
from tests.support.live import UP, Live, command, opened, started


class Stage:
    """The stack, and what its worker needs to run."""

    def __init__(self, live: Live, environment: dict[str, str]) -> None:
        self.live = live
        self._environment = environment

    @contextmanager
    def worker(self, **settings: str) -> Iterator[None]:
        """A worker of its own, with these settings changed, as long as the block runs."""
        log = (self.live.folder / "logs" / "stage-worker.log").open("ab")
        process = subprocess.Popen(
            program("worker"),
            env=self._environment | settings,
            # It ends when this pipe does: nothing outlives the stage.
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
            log.close()


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """A stack that runs without a worker, and how one is started on it."""
    async with started() as folder:
        known = json.loads((folder / "state.json").read_text())["processes"]
        environment = psutil.Process(int(known["us worker"]["pid"])).environ()
        await command(folder, "down")
        # The ports stay those of the last start.
        await command(folder, "up", *UP, "--workers", "0")
        async with opened(folder) as live:
            yield Stage(live, environment)
