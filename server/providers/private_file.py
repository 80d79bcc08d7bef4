"""Files on their way through us: private, temporary, hashed while they are written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class Digest(Protocol):
    """A hash that is fed with bytes."""

    def update(self, data: bytes, /) -> None:
        """Takes more bytes."""
        ...


@contextlib.contextmanager
def private_file(kind: str, directory: Path | None) -> Iterator[tuple[Path, int]]:
    """A new file of mode 0600 and its descriptor; removed again when the body fails, closed either way."""
    descriptor, name = tempfile.mkstemp(prefix=f"babysea-{kind}-", dir=directory)
    path = Path(name)
    try:
        yield path, descriptor
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def keep(descriptor: int, part: bytes, digest: Digest) -> None:
    """Writes and hashes the next part of a file.

    Not in a thread: one that is abandoned by a cancellation would go on writing to a descriptor whose number may belong
    to another tenant's file by then. A part is small and goes to the page cache.

    Raises:
        OSError: the disk takes no more.
    """
    digest.update(part)
    left = memoryview(part)
    while left:
        left = left[os.write(descriptor, left) :]
