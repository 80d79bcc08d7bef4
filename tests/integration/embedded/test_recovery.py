"""What a crash leaves behind never keeps a cluster from starting, and never costs committed data."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from server.runtime.embedded import (
    ClusterDataMissing,
    EmbeddedPostgres,
    StartTimedOut,
    StopTimedOut,
    postmaster,
)

from .conftest import Query

START = "import sys; from pathlib import Path; from server.runtime.embedded import EmbeddedPostgres; "
# Connects to argv[1] and runs argv[2].
CLIENT = """
import asyncio, asyncpg, sys
async def run():
    connection = await asyncpg.connect(sys.argv[1])
    print("connected", flush=True)
    await connection.execute(sys.argv[2])
asyncio.run(run())
"""


def test_a_killed_server_recovers_with_its_data(
    postgres: EmbeddedPostgres, folder: Path, template: Path, query: Query
) -> None:
    first = postgres.start(folder / "hit", copy_from=template)
    query(first, "insert into fact values (2, 'committed before the kill')")
    os.kill(first.pid, signal.SIGKILL)

    second = postgres.start(folder / "hit")

    assert second.pid != first.pid
    assert query(second, "select words from fact where n = 2") == [("committed before the kill",)]


def test_a_session_that_outlives_its_killed_server_does_not_block_the_next_start(
    postgres: EmbeddedPostgres, folder: Path, template: Path, query: Query
) -> None:
    first = postgres.start(folder / "busy", durable=False, copy_from=template)
    # Arithmetic never looks up to see whether the postmaster is still there.
    busy = "do $$ begin perform count(*) from generate_series(1, 1000000000000); end $$"
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, first.url(), busy],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert client.stdout is not None
    try:
        assert client.stdout.readline() == b"connected\n"
        active = "select pid from pg_stat_activity where state = 'active' and query like 'do %'"
        while not (pids := query(first, active)):
            pass
        os.kill(first.pid, signal.SIGKILL)

        second = postgres.start(folder / "busy", durable=False)

        assert query(second, "select n from fact") == [(1,)]
        assert not postmaster._serves(pids[0][0], first.data_dir)
    finally:
        client.kill()
        client.wait()
        client.stdout.close()


def test_a_stale_pid_file_that_names_a_foreign_process_is_seen_through(
    postgres: EmbeddedPostgres, folder: Path, template: Path, query: Query
) -> None:
    first = postgres.start(folder / "stale", durable=False, copy_from=template)
    pid_file = first.data_dir / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    os.kill(first.pid, signal.SIGKILL)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    assert postgres.status(folder / "stale").state == "stopped"
    assert not postgres.stop(folder / "stale", "immediate")
    assert query(postgres.start(folder / "stale", durable=False), "select n from fact") == [(1,)]


def test_the_cluster_outlives_the_process_that_started_it_and_is_adopted(
    postgres: EmbeddedPostgres, folder: Path, template: Path, query: Query
) -> None:
    code = START + (
        "print(EmbeddedPostgres().start(Path(sys.argv[1]), durable=False, copy_from=Path(sys.argv[2])).pid,"
        " flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, folder / "held", template], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    pid = int(holder.stdout.readline())
    holder.kill()
    holder.wait()
    holder.stdout.close()
    holder.stdin.close()

    adopted = postgres.start(folder / "held", durable=False)

    assert adopted.pid == pid
    assert query(adopted, "select n from fact") == [(1,)]


def test_a_kill_in_the_middle_of_creation_leaves_no_half_made_cluster(
    postgres: EmbeddedPostgres, folder: Path, query: Query
) -> None:
    code = START + "EmbeddedPostgres().start(Path(sys.argv[1]))"
    maker = subprocess.Popen([sys.executable, "-c", code, folder / "half"])
    until = time.monotonic() + 30
    while not list((folder / "half").glob("new-*/data/base")) and time.monotonic() < until:
        pass
    maker.kill()
    maker.wait()
    assert not (folder / "half" / "data").exists()
    assert postgres.status(folder / "half").state == "absent"

    cluster = postgres.start(folder / "half", durable=False)

    assert query(cluster, "select 1") == [(1,)]
    assert list((folder / "half").glob("new-*")) == []


def test_a_server_that_does_not_answer_is_reported_and_can_be_ended(
    postgres: EmbeddedPostgres, folder: Path, template: Path, query: Query
) -> None:
    impatient = EmbeddedPostgres(start_seconds=0.2, stop_seconds=1)
    frozen = postgres.start(folder / "deaf", durable=False, copy_from=template)
    os.kill(frozen.pid, signal.SIGSTOP)

    assert impatient.status(folder / "deaf").state == "starting"
    with pytest.raises(StartTimedOut, match=r"postgres\.log"):
        impatient.start(folder / "deaf", durable=False)
    with pytest.raises(StopTimedOut, match="immediate"):
        impatient.stop(folder / "deaf")
    assert impatient.stop(folder / "deaf", "immediate")
    assert query(postgres.start(folder / "deaf", durable=False), "select n from fact") == [(1,)]


def test_lost_data_is_reported_and_never_replaced_by_an_empty_cluster(
    postgres: EmbeddedPostgres, folder: Path, template: Path
) -> None:
    cluster = postgres.start(folder / "lost", durable=False, copy_from=template)
    postgres.stop(folder / "lost")
    cluster.data_dir.rename(folder / "lost" / "aside")

    with pytest.raises(ClusterDataMissing, match="restore it there"):
        postgres.start(folder / "lost", durable=False)
    assert not cluster.data_dir.exists()
