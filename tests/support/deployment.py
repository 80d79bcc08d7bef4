"""A stack of real processes as a person starts it with `babysea up`, and the ways in which tests look at it and hurt it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from cli.supervisor.ports import choose
from server.runtime.embedded import EmbeddedPostgres
from tests.e2e.conftest import babysea, new_folder, processes_of, remove_folder


@dataclass(frozen=True)
class Deployment:
    """A running stack in a folder of its own."""

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str) -> str:
        """Runs `babysea` on this folder; its output."""
        done = babysea("--data-dir", str(self.data_dir), *arguments, seconds=110.0, **self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def place(self, region: str) -> dict[str, Any]:
        """A region's part of ready.json."""
        found: dict[str, Any] = self.ready()["regions"][region]
        return found

    @property
    def region(self) -> dict[str, Any]:
        """The part of region us."""
        return self.place("us")

    def ready(self) -> dict[str, Any]:
        """The content of ready.json."""
        found: dict[str, Any] = json.loads((self.data_dir / "ready.json").read_text())
        return found

    def pids(self) -> dict[str, int]:
        """Processes that run the programs now, by name."""
        known = json.loads((self.data_dir / "state.json").read_text())["processes"]
        return {name: int(process["pid"]) for name, process in known.items()}

    def pid(self, name: str) -> int:
        """Process that runs a program now."""
        return self.pids()[name]

    def supervisor(self) -> int:
        """Process that keeps the programs running."""
        return int(json.loads((self.data_dir / "lock").read_text())["pid"])

    def postmaster(self, region: str = "us") -> int | None:
        """Process of a region's PostgreSQL; None while there is none."""
        return EmbeddedPostgres().status(self.data_dir / region / "postgres").pid

    def stop_database(self, region: str = "us") -> None:
        """Stops a region's PostgreSQL at once, without any good order; the supervisor starts it again."""
        EmbeddedPostgres().stop(self.data_dir / region / "postgres", "immediate")

    def signal_group(self, name: str, number: signal.Signals) -> None:
        """Signals a program and all that it started; whoever is gone already is left alone."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid(name), number)

    def operator_token(self, region: str = "us") -> str:
        """The region's token for operators."""
        return (self.data_dir / region / "secrets" / "operator_token").read_text().strip()

    def log(self, name: str) -> Path:
        """Log of a program."""
        return self.data_dir / "logs" / f"{name.replace(' ', '-')}.log"

    async def rows(self, statement: str, *values: object, region: str = "us") -> list[asyncpg.Record]:
        """Rows of one statement in a region's database, as its owner."""
        connection = await asyncpg.connect(self.place(region)["database_url"])
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    async def value(self, statement: str, *values: object, region: str = "us") -> int:
        """One number from a region's database."""
        return int((await self.rows(statement, *values, region=region))[0][0])

    async def execute(self, statement: str, *values: object, region: str = "us") -> None:
        """One statement in a region's database, as its owner."""
        await self.rows(statement, *values, region=region)

    def audit_is_clean(self) -> bool:
        """Whether the ledgers of all regions hold what they promise."""
        done = babysea("--data-dir", str(self.data_dir), "ledger", "audit", "--json")
        assert done.returncode in {0, 1}, done.stderr
        return bool(json.loads(done.stdout)["clean"])


@contextmanager
def deployed(*arguments: str, regions: str = "us", **environment: str) -> Iterator[Deployment]:
    """A stack on free ports; at its end nothing of it is left.

    Args:
        arguments: further ones of `babysea up`.
        regions: regions to run, joined by commas.
        environment: settings of its programs.
    """
    folder = new_folder()
    found = Deployment(folder / "stack", environment)
    used: set[int] = set()
    # Not "auto", which begins with the usual ports: two stacks that start at the same time would both see them free.
    ports = ",".join(f"{region}={choose(None, used)}" for region in regions.split(","))
    try:
        found.run("up", "--detach", "--json", "--regions", regions, "--ports", ports, *arguments)
        yield found
        found.run("down")
        assert processes_of(folder) == []
    finally:
        babysea("--data-dir", str(found.data_dir), "down")
        remove_folder(folder, found.data_dir)


def lines_since(log: Path) -> Callable[[], list[str]]:
    """What a log gained since this call."""
    begun = len(log.read_text().splitlines())
    return lambda: log.read_text().splitlines()[begun:]
