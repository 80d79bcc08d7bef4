"""A real Valkey that a test can stop, freeze and start again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from valkey.asyncio import Valkey
from valkey.exceptions import ConnectionError as NotThere

from cli.supervisor.ports import choose
from server.runtime.embedded import valkey

_PASSWORD = "test-valkey"
_START_SECONDS = 20.0


@dataclass
class RunningValkey:
    """The server's guard and where it listens; the port stays over restarts."""

    folder: Path
    port: int
    guard: subprocess.Popen[bytes] | None = None
    log: IO[bytes] | None = None

    @classmethod
    def at(cls, folder: Path) -> RunningValkey:
        """Names one; nothing runs yet."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "work").mkdir()
        port = choose(None, set())
        (folder / "valkey.conf").write_text(valkey.configuration(port, _PASSWORD, folder / "work"))
        return cls(folder, port)

    @property
    def url(self) -> str:
        """URL with the password."""
        return valkey.url(self.port, _PASSWORD)

    def client(self) -> Valkey:
        """A client of its own; the caller closes it."""
        made: Valkey = Valkey.from_url(self.url)
        return made

    async def start(self) -> None:
        """Starts it and waits until it answers."""
        self.log = (self.folder / "valkey.log").open("ab")
        self.guard = self._launched(self.log)
        deadline = time.monotonic() + _START_SECONDS
        async with self.client() as client:
            while time.monotonic() < deadline:
                try:
                    await client.ping()
                except NotThere:
                    await asyncio.sleep(0.02)
                else:
                    return
        raise TimeoutError((self.folder / "valkey.log").read_text())

    def _launched(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            valkey.command(self.folder / "valkey.conf"),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def freeze(self) -> None:
        """Stops every process of it without ending them: connections stay, answers do not come."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it at once."""
        if self.guard is not None and self.guard.poll() is None:
            self._signal(signal.SIGKILL)
        self._close()

    def let_go(self) -> int:
        """Closes the pipe that it lives by, as the death of its starter does, and gives its exit code."""
        assert self.guard is not None
        assert self.guard.stdin is not None
        self.guard.stdin.close()
        return self.guard.wait(20)

    def _signal(self, number: signal.Signals) -> None:
        assert self.guard is not None
        # Its session is its own, so its number is the group's.
        os.killpg(self.guard.pid, number)

    def _close(self) -> None:
        if self.guard is not None:
            self.guard.wait()
            if self.guard.stdin is not None:
                self.guard.stdin.close()
        if self.log is not None:
            self.log.close()
        self.guard = self.log = None
