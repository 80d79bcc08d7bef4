"""The folder of one cluster: what lies in it, who may change it, and where its data really is.

<folder>/data/            the cluster itself, owned by the user that runs PostgreSQL
<folder>/location.json    instead of data/, when that user cannot enter the folder
<folder>/password         of the superuser, mode 0600
<folder>/cluster.json     port and durability of the last start; written only once the data exists
<folder>/postgres.log     what the server says, and postgres.log.1 before it
<folder>/lock             held while a start or stop is under way
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from server.runtime.embedded.errors import ClusterBusy, ClusterDataMissing

_LOG_BYTES = 10_000_000


@dataclass(frozen=True)
class Memory:
    """What the last start decided: the port, and whether writes were made durable."""

    port: int
    durable: bool


@dataclass(frozen=True)
class ClusterHome:
    """Paths and small files of one cluster."""

    path: Path

    @classmethod
    def at(cls, data_dir: Path) -> "ClusterHome":
        """Name the home without touching the disk's contents; links are followed once, here."""
        return cls(Path(os.path.realpath(data_dir)))

    @property
    def log_file(self) -> Path:
        """The server's log."""
        return self.path / "postgres.log"

    def make(self) -> None:
        """Create the folder; one that exists keeps its mode, and so do all parents."""
        if self.path.is_dir():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        # As root another user must pass through; the files in it have modes of their own.
        self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)

    @contextmanager
    def locked(self, seconds: float) -> Iterator[None]:
        """Keep other threads and processes from starting or stopping this cluster meanwhile.

        The kernel lets go when the holder dies, so a lock is never left behind.
        Raises `ClusterBusy` after `seconds`.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + seconds
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise ClusterBusy(
                            f"Another process has been starting or stopping the database in {self.path} "
                            f"for {seconds:.0f} s; wait for it or end it, then try again."
                        ) from None
                    time.sleep(0.02)
            yield
        finally:
            os.close(descriptor)

    def data(self) -> Path:
        """Return where the cluster is or will be; follows `location.json`.

        Raises `ClusterDataMissing` if the pointer cannot be trusted any more.
        """
        pointer = self._read_json("location.json")
        if pointer is None:
            return self.path / "data"
        written_for = str(pointer.get("written_for", ""))
        if written_for != str(self.path) and (Path(written_for) / "location.json").exists():
            raise ClusterDataMissing(
                f"{self.path} is a copy of {written_for} and would share its database; "
                "remove the copied folder to begin with an empty database."
            )
        return Path(str(pointer["data"]))

    def place_elsewhere(self, data: Path) -> None:
        """Remember that the cluster lies in `data`, outside this folder."""
        self._write("location.json", json.dumps({"data": str(data), "written_for": str(self.path)}))

    def memory(self) -> Memory | None:
        """Return what the last start decided, or None before the first one."""
        known = self._read_json("cluster.json")
        return None if known is None else Memory(int(str(known["port"])), bool(known["durable"]))

    def remember(self, memory: Memory) -> None:
        """Keep port and durability for the next start."""
        self._write("cluster.json", json.dumps(asdict(memory)))

    def password(self) -> str:
        """Return the superuser's password. Raises `ClusterDataMissing` if the file is gone."""
        try:
            return (self.path / "password").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise ClusterDataMissing(
                f"The file {self.path / 'password'} is gone; restore it, or remove {self.path} "
                "to begin with an empty database."
            ) from None

    def new_password(self, value: str | None = None) -> str:
        """Write `value`, or a random password if there is none, and return it."""
        chosen = value or secrets.token_urlsafe(32)
        self._write("password", chosen)
        return chosen

    def open_log(self) -> int:
        """Open the log for appending, after putting a long one aside, and return the descriptor."""
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_BYTES:
            self.log_file.replace(self.path / "postgres.log.1")
        return os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _read_json(self, name: str) -> dict[str, object] | None:
        try:
            value = json.loads((self.path / name).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ClusterDataMissing(
                f"The file {self.path / name} is damaged; restore it, or remove {self.path} "
                "to begin with an empty database."
            )
        return value

    def _write(self, name: str, text: str) -> None:
        """Replace a small file so that a crash leaves the old or the new one, mode 0600."""
        draft = self.path / f".{name}.{secrets.token_hex(4)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path / name)
        finally:
            draft.unlink(missing_ok=True)
