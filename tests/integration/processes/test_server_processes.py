"""`babysea server --processes`: one process per port, kept running, drained together, and none outlives the parent."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from cli.supervisor.readiness import serving
from tests.support.postgres import TestDatabase
from tests.support.region import MASTER_KEY


@dataclass(frozen=True)
class Parent:
    """The command, running."""

    process: subprocess.Popen[bytes]
    log: Path

    def addresses(self) -> list[str]:
        """Where its processes listen; empty before it said so."""
        for line in self.log.read_text().splitlines():
            if '"addresses"' in line:
                return str(json.loads(line)["addresses"]).split(";")
        return []

    def serving(self) -> list[bool]:
        """Which of them answer."""
        return [serving(address) for address in self.addresses()]

    def children(self) -> list[psutil.Process]:
        """Its processes."""
        return psutil.Process(self.process.pid).children()


@contextmanager
def started(database: TestDatabase, folder: Path, *arguments: str, **variables: str) -> Iterator[Parent]:
    """The command with the settings of a test region."""
    log = folder / "server.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BABYSEA_")},
        "BABYSEA_DATABASE_URL": database.url("babysea_app"),
        "BABYSEA_ADMITTER_DATABASE_URL": database.url("babysea_admitter"),
        "BABYSEA_WORKER_DATABASE_URL": database.url("babysea_worker"),
        "BABYSEA_LOGS_DATABASE_URL": database.url("babysea_logger"),
        "BABYSEA_VAULT_DATABASE_URL": database.cluster.url(database.vault, "babysea_app"),
        "BABYSEA_MASTER_KEY": MASTER_KEY,
        "BABYSEA_SERVICES": "keys",
        **variables,
    }
    command = [sys.executable, "-P", "-m", "cli.main", "server", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=output)
    try:
        yield Parent(process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def both_serve(parent: Parent) -> bool:
    return parent.serving() == [True, True]


def test_a_killed_process_is_started_again_on_its_port_and_sigterm_drains_them_all(
    database: TestDatabase, tmp_path: Path
) -> None:
    with started(database, tmp_path, "--processes", "2", "--listen", "127.0.0.1:0") as parent:
        until(lambda: both_serve(parent))
        assert len(set(parent.addresses())) == 2
        victim = parent.children()[0]
        victim.kill()
        until(lambda: len(parent.children()) == 2 and victim not in parent.children() and both_serve(parent))
        children = parent.children()
        parent.process.send_signal(signal.SIGTERM)
        assert parent.process.wait(30) == 0
        assert not any(child.is_running() for child in children)
    assert parent.log.read_text().count('"message": "stopped"') == 2


def test_no_process_outlives_a_parent_that_is_killed(database: TestDatabase, tmp_path: Path) -> None:
    with started(database, tmp_path, "--processes", "2", "--listen", "127.0.0.1:0") as parent:
        until(lambda: both_serve(parent))
        children = parent.children()
        parent.process.kill()
        parent.process.wait()
        gone, alive = psutil.wait_procs(children, timeout=30)
        assert (len(gone), alive) == (2, [])


def test_a_setting_that_no_process_can_start_with_ends_the_parent_with_the_sentence(
    database: TestDatabase, tmp_path: Path
) -> None:
    with started(
        database, tmp_path, "--processes", "2", "--listen", "127.0.0.1:0", BABYSEA_MASTER_KEY="short"
    ) as parent:
        assert parent.process.wait(60) == 1
    assert "babysea: BABYSEA_MASTER_KEY must be 32 random bytes" in parent.log.read_text()
    assert "Traceback" not in parent.log.read_text()


def test_a_taken_port_among_the_wanted_ones_is_one_sentence(database: TestDatabase, tmp_path: Path) -> None:
    with _port_after_a_free_one() as stranger:
        port = stranger.getsockname()[1]
        with started(database, tmp_path, "--processes", "2", "--listen", f"127.0.0.1:{port - 1}") as parent:
            assert parent.process.wait(60) == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in parent.log.read_text()


def _port_after_a_free_one() -> socket.socket:
    """Listens on a port whose neighbour below is free, far from those that the system gives out by itself."""
    while True:
        port = random.randrange(20_000, 30_000, 2)
        try:
            socket.create_server(("127.0.0.1", port - 1)).close()
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            continue
