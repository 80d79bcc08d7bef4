"""What can go wrong with an embedded PostgreSQL; every message is one sentence that says what to do."""

# ruff: noqa: N818 - the names say what happened; that each is an error, their common base says.

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class EmbeddedPostgresError(Exception):
    """An embedded PostgreSQL cannot do what was asked; `message` tells a person what to do about it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class FolderUnwritable(EmbeddedPostgresError):
    """The folder of the cluster cannot be created or written."""


class FolderUnreachable(EmbeddedPostgresError):
    """The operating system user that runs PostgreSQL cannot enter a folder that it needs."""


class PortTaken(EmbeddedPostgresError):
    """The port that was asked for belongs to another program."""


class DiskFull(EmbeddedPostgresError):
    """There is no space left for the cluster."""


class BinariesMissing(EmbeddedPostgresError):
    """The PostgreSQL programs are not installed, or do not run on this machine."""


class WrongVersion(EmbeddedPostgresError):
    """The cluster was made by another major version of PostgreSQL."""


class ClusterBusy(EmbeddedPostgresError):
    """The cluster runs in a way that contradicts what was asked, or somebody else is changing it right now."""


class ClusterDataMissing(EmbeddedPostgresError):
    """The folder says that a cluster exists, but its data or password is gone; nothing was created in its place."""


class StartFailed(EmbeddedPostgresError):
    """PostgreSQL ended before it accepted a connection."""


class StartTimedOut(EmbeddedPostgresError):
    """PostgreSQL runs, but did not accept connections within the time limit."""


class StopTimedOut(EmbeddedPostgresError):
    """PostgreSQL did not end within the time limit."""


@contextmanager
def folder_trouble_as_sentence(folder: Path) -> Iterator[None]:
    """Turn the operating system's complaints about `folder` into `DiskFull` or `FolderUnwritable`."""
    try:
        yield
    except OSError as trouble:
        if trouble.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise disk_full(folder) from trouble
        raise FolderUnwritable(
            f"Cannot use {folder} for the database ({trouble.strerror or 'input/output error'}); "
            "choose a folder that you may write to, or correct its owner."
        ) from trouble


def disk_full(folder: Path) -> DiskFull:
    """Return the one sentence about a full disk below `folder`."""
    return DiskFull(f"The disk that holds {folder} is full; free some space there and start again.")
