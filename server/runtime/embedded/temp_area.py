"""Folders below the system's temp area that only we can have made."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from server.runtime.embedded.errors import FolderUnwritable


def default_areas() -> tuple[Path, ...]:
    """Return the temp areas in order of preference; the first one survives a reboot."""
    return tuple(dict.fromkeys((Path("/var/tmp"), Path(tempfile.gettempdir()))))  # noqa: S108 - checked below


def usable(areas: Sequence[Path]) -> Iterator[Path]:
    """Yield the areas in which nobody else can replace what we make: sticky, or not writable by others."""
    for area in areas:
        try:
            facts = area.stat()
        except OSError:
            continue
        shared = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if facts.st_uid in {0, os.geteuid()} and (not shared or facts.st_mode & stat.S_ISVTX):
            yield area.resolve()


def is_ours(folder: Path) -> bool:
    """Say whether `folder` is a real folder that belongs to us and that nobody else may change."""
    try:
        facts = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(facts.st_mode)
        and facts.st_uid == os.geteuid()
        and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def private_folder(areas: Sequence[Path], name: str) -> Path:
    """Create or find the folder `name` in the first usable area; others may enter it but not change it."""
    for area in usable(areas):
        folder = area / name
        try:
            folder.mkdir(mode=0o711)
        except FileExistsError:
            if not is_ours(folder):
                continue
        else:
            folder.chmod(0o711)
        return folder
    raise FolderUnwritable(
        f"No folder {name} could be made in {' or '.join(map(str, areas))}; "
        "remove what stands in its place or keep the data in a folder that every user may enter."
    )


def key_of(text: str) -> str:
    """Return a short name for `text` that differs whenever the text differs."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
