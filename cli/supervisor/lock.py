"""One supervisor per data folder: a lock that the kernel lets go when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from cli.supervisor.files import read_json
from cli.supervisor.layout import Layout
from cli.supervisor.processes import ProcessId, identify


@dataclass
class Lock:
    """The lock of a data folder, held; use it as a context."""

    descriptor: int

    @classmethod
    def try_take(cls, layout: Layout) -> Lock | None:
        """Takes the lock and writes down who holds it; None while another process does."""
        descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        me = identify(os.getpid())
        text = json.dumps({"pid": os.getpid(), "started": me.started if me else ""}).encode()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
        return cls(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)


def holder(layout: Layout) -> ProcessId | None:
    """The process that wrote itself down last, if it still runs."""
    known = read_json(layout.lock)
    pid = known.get("pid")
    found = identify(pid) if isinstance(pid, int) else None
    return found if found is not None and found.started == known.get("started") else None
