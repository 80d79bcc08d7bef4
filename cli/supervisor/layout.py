"""Where everything of an embedded stack lies below its data folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cli.errors import CliError

REGIONS = ("us", "eu", "jp")
"""Every region that can run; the same as kit.settings.REGIONS, which would cost an import of pydantic here."""


@dataclass(frozen=True, slots=True)
class RegionLayout:
    """The folder of one region; nothing of it is shared with another one."""

    root: Path

    @property
    def postgres(self) -> Path:
        """Home of the cluster."""
        return self.root / "postgres"

    @property
    def secrets(self) -> Path:
        """Master key, tokens and passwords; mode 0700, its files 0600."""
        return self.root / "secrets"

    @property
    def storage(self) -> Path:
        """Output files."""
        return self.root / "storage"

    @property
    def operator_token(self) -> Path:
        """File with the token of operators."""
        return self.secrets / "operator_token"

    @property
    def service_token(self) -> Path:
        """File with the token by which our own services know each other."""
        return self.secrets / "service_token"


@dataclass(frozen=True, slots=True)
class Layout:
    """The data folder of one stack, as an absolute path."""

    root: Path

    @classmethod
    def at(cls, data_dir: Path) -> Layout:
        """Names the folder without touching it."""
        return cls(Path(os.path.abspath(data_dir.expanduser())))  # noqa: PTH100 - links stay as they were named

    @property
    def lock(self) -> Path:
        """Locked by the supervisor while it lives; holds who that is."""
        return self.root / "lock"

    @property
    def state(self) -> Path:
        """Ports and processes of the last start."""
        return self.root / "state.json"

    @property
    def ready(self) -> Path:
        """There while everything answers; how to reach it."""
        return self.root / "ready.json"

    @property
    def logs(self) -> Path:
        """One log per program."""
        return self.root / "logs"

    @property
    def traces(self) -> Path:
        """Local traces, one folder per region."""
        return self.root / "traces"

    def region(self, region: str) -> RegionLayout:
        """The folder of one region."""
        return RegionLayout(self.root / region)

    def known_regions(self) -> list[str]:
        """The regions that were ever started here."""
        return [region for region in REGIONS if self.region(region).root.is_dir()]

    def prepare(self, regions: tuple[str, ...]) -> None:
        """Makes the folders that are missing.

        Raises:
            CliError: one cannot be made or written; the sentence names it.
        """
        # As root the database runs as another user, who must pass through to its own folder.
        outer = 0o711 if os.geteuid() == 0 else 0o700
        wanted = [(self.root, outer), (self.logs, 0o700), (self.traces, 0o700)]
        for region in regions:
            place = self.region(region)
            wanted += [(place.root, outer), (place.secrets, 0o700), (place.storage, 0o700)]
        for folder, mode in wanted:
            _make(folder, mode)


def _make(folder: Path, mode: int) -> None:
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(mode)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        reason = error.strerror or "input/output error"
        raise CliError(
            f"Cannot use {folder} ({reason}); choose a folder that you may write to with --data-dir."
        ) from error
    if not writable:
        raise CliError(f"Cannot write to {folder}; choose a folder that you may write to with --data-dir.")
