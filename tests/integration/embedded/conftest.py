"""Real clusters for these tests, all of them gone at the end."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from server.runtime.embedded import Cluster, EmbeddedPostgres

Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def postgres() -> EmbeddedPostgres:
    return EmbeddedPostgres()


@pytest.fixture
def folder(postgres: EmbeddedPostgres) -> Iterator[Path]:
    """A folder that the server's user may enter; clusters made directly in it are erased afterwards."""
    made = Path(tempfile.mkdtemp(prefix="babysea-test-"))
    made.chmod(0o711)
    yield made
    for home in made.iterdir():
        if home.is_dir():
            postgres.erase(home)
    left = [
        p.info["pid"] for p in psutil.process_iter(["pid", "cwd"]) if str(p.info["cwd"]).startswith(str(made))
    ]
    shutil.rmtree(made)
    assert left == []


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> Iterator[Path]:
    """A stopped cluster with one row in table `fact`, to be copied."""
    made = Path(tempfile.mkdtemp(prefix="babysea-test-"))
    made.chmod(0o711)
    home = made / "template"
    cluster = postgres.start(home, durable=False)
    _run(cluster, "create table fact (n int primary key, words text check (words <> 'forbidden'))")
    _run(cluster, "insert into fact values (1, 'from the template')")
    postgres.stop(home)
    yield home
    postgres.erase(home)
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def running(postgres: EmbeddedPostgres, template: Path) -> Iterator[tuple[Path, Cluster]]:
    """A running cluster and its folder, for tests that only look."""
    home = template.with_name("running")
    yield home, postgres.start(home, durable=False, copy_from=template)
    postgres.erase(home)


@pytest.fixture
def query() -> Query:
    """Run one statement on a cluster as its superuser and return the rows."""
    return _run


@pytest.fixture
def only_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root runs PostgreSQL as another user")


def _run(cluster: Cluster, statement: str, *values: object) -> list[tuple[Any, ...]]:
    async def once() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(cluster.url(), timeout=10)
        try:
            return [tuple(row) for row in await connection.fetch(statement, *values)]
        finally:
            await connection.close()

    return asyncio.run(once())
