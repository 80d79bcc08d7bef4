"""Making a cluster: by initdb, or by copying one that was made before. It appears complete or not at all."""

import logging
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from server.runtime.embedded import configuration, postmaster
from server.runtime.embedded.account import ServerAccount
from server.runtime.embedded.bundle import Bundle
from server.runtime.embedded.errors import ClusterBusy, ClusterDataMissing, StartFailed, disk_full
from server.runtime.embedded.home import ClusterHome
from server.runtime.embedded.temp_area import key_of, private_folder

log = logging.getLogger(__name__)

_SECONDS = 180.0
_ORPHAN_SECONDS = 5.0
_DRAFT = "new-"


def place(home: ClusterHome, account: ServerAccount, areas: Sequence[Path]) -> Path:
    """Decide where a new cluster of `home` will lie, and leave a pointer if that is not inside it."""
    data = home.data()
    if data.parent != home.path or account.can_enter(home.path):
        return data
    elsewhere = private_folder(areas, f"babysea-pg-data-{key_of(str(home.path))}") / "data"
    home.place_elsewhere(elsewhere)
    log.warning(
        "User %s cannot enter %s, so its database lies in %s; that is a temp area, keep nothing dear there.",
        account.name,
        home.path,
        elsewhere,
    )
    return elsewhere


def initialise(
    home: ClusterHome, data: Path, account: ServerAccount, bundle: Bundle, *, durable: bool
) -> None:
    """Make an empty cluster in `data`: UTF-8, C.UTF-8 order that no system library can change, checksums."""
    password = home.new_password()
    with _draft_beside(data, account) as draft:
        secret = draft / "superuser"
        secret.touch(mode=0o600)
        secret.write_text(password + "\n", encoding="ascii")
        account.give(secret)
        command: list[str | Path] = [
            *(bundle.program("initdb"), "--pgdata", draft / "data"),
            *("--username", configuration.SUPERUSER, "--pwfile", secret, "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin"),
            *("--builtin-locale", "C.UTF-8", "--data-checksums", "--no-instructions"),
        ]
        _must_work(account, command if durable else [*command, "--no-sync"], data)
        configuration.include_settings(draft / "data")
        (draft / "data").rename(data)


def copy(
    template: ClusterHome,
    home: ClusterHome,
    data: Path,
    account: ServerAccount,
    bundle: Bundle,
    *,
    durable: bool,
) -> None:
    """Make `data` a copy of a stopped cluster; both then have the same superuser password.

    Raises `ClusterDataMissing` if there is no such cluster and `ClusterBusy` if it runs.
    """
    source = template.data()
    if template.memory() is None or not (source / "PG_VERSION").exists():
        raise ClusterDataMissing(
            f"There is no cluster in {template.path} to copy; start and stop one there first."
        )
    if postmaster.find(source) is not None:
        raise ClusterBusy(f"The cluster in {template.path} runs and cannot be copied; stop it first.")
    home.new_password(template.password())
    with _draft_beside(data, account) as draft:
        _must_work(account, ["cp", "-Rp", source, draft / "data"], data)
        for leftover in ("postmaster.pid", "postmaster.opts"):
            (draft / "data" / leftover).unlink(missing_ok=True)
        if durable:
            make_durable(draft / "data", account, bundle)
        (draft / "data").rename(data)


def make_durable(data: Path, account: ServerAccount, bundle: Bundle) -> None:
    """Bring every file of a stopped cluster safely to the disk, before its first start with fsync on."""
    _must_work(account, [bundle.program("initdb"), "--sync-only", "--pgdata", data], data)


@contextmanager
def _draft_beside(data: Path, account: ServerAccount) -> Iterator[Path]:
    """Give a folder that the server's user may fill; nothing of it or of earlier crashes remains."""
    for abandoned in data.parent.glob(f"{_DRAFT}*"):
        _remove(abandoned)
    draft = data.parent / f"{_DRAFT}{secrets.token_hex(4)}"
    draft.mkdir(mode=0o700)
    account.give(draft)
    try:
        yield draft
        _sync_folder(data.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _remove(abandoned: Path) -> None:
    """Remove what a crash left, also while the initdb of whoever crashed still fills it: that soon finds nothing more."""
    until = time.monotonic() + _ORPHAN_SECONDS
    while abandoned.exists() and time.monotonic() < until:
        shutil.rmtree(abandoned, ignore_errors=True)
        time.sleep(0.05)


def _must_work(account: ServerAccount, command: Sequence[str | Path], data: Path) -> None:
    name = Path(command[0]).name
    try:
        done = account.run(command, seconds=_SECONDS)
    except subprocess.TimeoutExpired:
        raise StartFailed(
            f"{name} did not finish in {_SECONDS:.0f} s; look for a slow or stuck disk below {data.parent}."
        ) from None
    if done.returncode == 0:
        return
    if "No space left on device" in done.stdout:
        raise disk_full(data.parent)
    reason = next(
        (line for line in reversed(done.stdout.splitlines()) if "error" in line.lower()), "no reason given"
    )
    raise StartFailed(
        f"{name} could not make the cluster in {data} ({reason.strip()}); correct that and start again."
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
