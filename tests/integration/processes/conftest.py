"""A whole stack with two servers and two workers in one region, as a person starts it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.e2e.conftest import babysea, new_folder, processes_of, remove_folder

SERVERS = ("us server 1", "us server 2")


@dataclass(frozen=True)
class Twin:
    """A running region of two servers and two workers."""

    data_dir: Path

    def run(self, *arguments: str) -> str:
        """Runs `babysea` on this folder; its output."""
        done = babysea("--data-dir", str(self.data_dir), *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def region(self) -> dict[str, Any]:
        """The region's part of ready.json."""
        found: dict[str, Any] = json.loads((self.data_dir / "ready.json").read_text())["regions"]["us"]
        return found

    def pid(self, name: str) -> int:
        """Process that runs a program now."""
        known = json.loads((self.data_dir / "state.json").read_text())["processes"]
        return int(known[name]["pid"])

    def log(self, name: str) -> Path:
        """Log of a program."""
        return self.data_dir / "logs" / f"{name.replace(' ', '-')}.log"

    async def value(self, statement: str) -> int:
        """One number from the region's database."""
        connection = await asyncpg.connect(self.region["database_url"])
        try:
            return int(await connection.fetchval(statement))
        finally:
            await connection.close()

    async def execute(self, statement: str) -> None:
        """One statement in the region's database, as its owner."""
        connection = await asyncpg.connect(self.region["database_url"])
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def audit_is_clean(self) -> bool:
        """Whether the ledger holds what it promises."""
        return bool(json.loads(self.run("ledger", "audit", "--json"))["clean"])


def lines_since(log: Path) -> Callable[[], list[str]]:
    """What a log gained since this call."""
    begun = len(log.read_text().splitlines())
    return lambda: log.read_text().splitlines()[begun:]


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    """The stack; at its end nothing of it is left."""
    folder = new_folder()
    found = Twin(folder / "stack")
    try:
        found.run(
            "up",
            "--detach",
            "--json",
            "--regions",
            "us",
            "--ports",
            "auto",
            "--servers",
            "2",
            "--workers",
            "2",
        )
        yield found
        found.run("down")
        assert processes_of(folder) == []
    finally:
        babysea("--data-dir", str(found.data_dir), "down")
        remove_folder(folder, found.data_dir)
