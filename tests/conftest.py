"""Fixtures of every test: one PostgreSQL cluster a run, a database a module, a region on it."""

from __future__ import annotations

import os

# Before gRPC is imported anywhere: as root PostgreSQL's programs are started by fork (another user leaves no other way),
# and gRPC's own fork handlers crash such a child about once in eight times.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from xdist.remote import Producer

from tests.support.postgres import TestCluster, TestDatabase, new_database, obtain_cluster, stop_cluster
from tests.support.region import TestRegion, open_region
from tests.support.scheduling import ByFile, run_folder


def _run_folder(config: pytest.Config) -> Path:
    return run_folder(config) / "cluster"


_PROVIDERS = ("tests/integration/providers/", "tests/integration/sandbox/", "tests/integration/execution/")
"""Folders of `make test-providers`: with them `make test` would take more than its ten minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of the inference providers by their folder."""
    for item in items:
        if item.nodeid.startswith(_PROVIDERS):
            item.add_marker(pytest.mark.providers)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """A run of several processes keeps together what shares databases and stacks."""
    return ByFile(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that began the run ends the run's cluster."""
    if not hasattr(config, "workerinput") and hasattr(config, "_tmp_path_factory"):
        stop_cluster(_run_folder(config))


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> TestCluster:
    """The run's PostgreSQL cluster."""
    return obtain_cluster(_run_folder(request.config))


@pytest.fixture(scope="module")
def database(cluster: TestCluster) -> TestDatabase:
    """A migrated database of this test module."""
    return new_database(cluster)


@pytest.fixture
async def region(database: TestDatabase) -> AsyncIterator[TestRegion]:
    """A region on the module's database."""
    region = open_region(database)
    yield region
    await region.close()
