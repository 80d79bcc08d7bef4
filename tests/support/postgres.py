"""One PostgreSQL cluster a test run, a migrated template in it, and a database for whoever asks."""

from __future__ import annotations

import asyncio
import fcntl
import json
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg

from server.migrations.runner import LOGIN_ROLES, upgrade
from server.runtime.embedded.postgres import EmbeddedPostgres

ROLE_PASSWORD = "test-role"
VAULT = "vault_template"
TEMPLATE = "main_template"


@dataclass(frozen=True)
class TestCluster:
    """The run's cluster."""

    __test__ = False
    port: int
    superuser: str
    password: str

    def url(self, database: str, role: str | None = None) -> str:
        """URL of a database, as a role or as the superuser."""
        user, password = (role, ROLE_PASSWORD) if role else (self.superuser, self.password)
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"


@dataclass(frozen=True)
class TestDatabase:
    """A migrated main database with a vault beside it."""

    __test__ = False
    cluster: TestCluster
    name: str
    vault: str

    def url(self, role: str | None = None) -> str:
        """URL of the main database, as a role or as the superuser."""
        return self.cluster.url(self.name, role)


def obtain_cluster(folder: Path) -> TestCluster:
    """Starts the run's cluster, or joins it when another test process was first."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = folder / "cluster.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not facts.exists():
            started = EmbeddedPostgres().start(folder / "pg", durable=False)
            cluster = TestCluster(started.port, started.superuser, started.password)
            asyncio.run(_make(cluster, TEMPLATE, None))
            asyncio.run(_make(cluster, VAULT, None))
            passwords = dict.fromkeys(LOGIN_ROLES, ROLE_PASSWORD)
            upgrade(cluster.url(TEMPLATE), cluster.url(VAULT), passwords)
            facts.write_text(json.dumps(cluster.__dict__))
        return TestCluster(**json.loads(facts.read_text()))


def stop_cluster(folder: Path) -> None:
    """Stops the run's cluster if one was started."""
    if (folder / "pg").exists():
        EmbeddedPostgres().erase(folder / "pg")


def new_database(cluster: TestCluster) -> TestDatabase:
    """A fresh main database and vault, copied from the templates."""
    name = f"t_{uuid4().hex[:12]}"
    asyncio.run(_make(cluster, name, TEMPLATE))
    asyncio.run(_make(cluster, f"{name}_vault", VAULT))
    return TestDatabase(cluster, name, f"{name}_vault")


async def _make(cluster: TestCluster, name: str, template: str | None) -> None:
    connection = await asyncpg.connect(cluster.url("postgres"))
    try:
        await connection.execute(f"create database {name}" + (f" template {template}" if template else ""))
        # Privileges on a database are not copied with its template.
        await connection.execute(f"revoke all on database {name} from public")
        roles = "babysea_app, babysea_worker" + (
            "" if "vault" in name else ", babysea_admitter, babysea_logger"
        )
        if template:
            await connection.execute(f"grant connect on database {name} to {roles}")
    finally:
        await connection.close()
