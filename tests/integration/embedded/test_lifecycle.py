"""Starting, adopting, stopping, copying."""

import os
import socket
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from server.runtime.embedded import Cluster, ClusterBusy, ClusterDataMissing, EmbeddedPostgres, PortTaken

from .conftest import Query


def test_a_new_cluster_is_utf8_with_fixed_order_checksums_and_loopback_only(
    postgres: EmbeddedPostgres, folder: Path, query: Query
) -> None:
    cluster = postgres.start(folder / "new")

    shown = {
        name: query(cluster, f"show {name}")[0][0]
        for name in (
            "server_encoding",
            "data_checksums",
            "listen_addresses",
            "unix_socket_directories",
            "fsync",
        )
    }
    assert shown == {
        "server_encoding": "UTF8",
        "data_checksums": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "on",
    }
    collation = "select datlocprovider, datlocale from pg_database where datname = 'template1'"
    assert query(cluster, collation) == [(b"b", "C.UTF-8")]
    assert query(cluster, "select distinct auth_method from pg_hba_file_rules") == [("scram-sha-256",)]


def test_data_and_port_survive_a_restart(
    postgres: EmbeddedPostgres, folder: Path, template: Path, query: Query
) -> None:
    first = postgres.start(folder / "kept", durable=False, copy_from=template)
    query(first, "insert into fact values (2, 'written before the restart')")
    assert postgres.stop(folder / "kept")
    assert postgres.status(folder / "kept").state == "stopped"

    second = postgres.start(folder / "kept", durable=False)

    assert second.port == first.port
    assert second.pid != first.pid
    assert query(second, "select words from fact where n = 2") == [("written before the restart",)]


def test_a_running_cluster_is_adopted(postgres: EmbeddedPostgres, running: tuple[Path, Cluster]) -> None:
    home, first = running

    assert postgres.start(home, durable=False) == first
    assert postgres.status(home).state == "running"
    with pytest.raises(ClusterBusy, match="stop it before changing that"):
        postgres.start(home, durable=True)
    with pytest.raises(ClusterBusy, match=f"runs on port {first.port}"):
        postgres.start(home, durable=False, port=first.port + 1)


def test_stopping_what_does_not_run_is_no_error(
    postgres: EmbeddedPostgres, folder: Path, template: Path
) -> None:
    assert not postgres.stop(folder / "absent")
    assert not (folder / "absent").exists()
    assert postgres.status(folder / "absent").state == "absent"
    postgres.start(folder / "there", durable=False, copy_from=template)
    assert postgres.stop(folder / "there", "immediate")
    assert not postgres.stop(folder / "there", "immediate")


def test_threads_start_clusters_at_once(
    postgres: EmbeddedPostgres, folder: Path, template: Path, query: Query
) -> None:
    names = ["us", "eu", "us", "eu"]
    with ThreadPoolExecutor(len(names)) as threads:
        clusters = list(
            threads.map(lambda name: postgres.start(folder / name, durable=False, copy_from=template), names)
        )

    assert clusters[0] == clusters[2]
    assert clusters[1] == clusters[3]
    assert clusters[0].port != clusters[1].port
    assert all(query(cluster, "select n from fact") == [(1,)] for cluster in clusters[:2])


def test_an_explicit_taken_port_is_refused_with_advice(
    postgres: EmbeddedPostgres, folder: Path, template: Path
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"Port {port} .* ask for another port") as refusal:
            postgres.start(folder / "here", port=port, durable=False, copy_from=template)
    assert refusal.value.message == str(refusal.value)
    assert postgres.start(folder / "here", port=port, durable=False).port == port


def test_a_remembered_port_that_is_taken_meanwhile_is_replaced(
    postgres: EmbeddedPostgres, folder: Path, template: Path
) -> None:
    first = postgres.start(folder / "here", durable=False, copy_from=template)
    postgres.stop(folder / "here")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", first.port))
        other.listen()
        assert postgres.start(folder / "here", durable=False).port != first.port


def test_a_copy_is_independent_of_its_template(
    postgres: EmbeddedPostgres, folder: Path, template: Path, query: Query
) -> None:
    left = postgres.start(folder / "left", durable=False, copy_from=template)
    right = postgres.start(folder / "right", durable=True, copy_from=template)

    query(left, "update fact set words = 'changed on the left'")

    assert query(right, "select words from fact") == [("from the template",)]
    assert left.data_dir != right.data_dir
    with pytest.raises(ClusterBusy, match="stop it first"):
        postgres.start(folder / "third", copy_from=folder / "left")
    with pytest.raises(ClusterDataMissing, match=r"no cluster in .* to copy"):
        postgres.start(folder / "third", copy_from=folder / "nothing")


def test_the_password_is_needed_and_only_its_owner_can_read_it(
    running: tuple[Path, Cluster], query: Query
) -> None:
    home, cluster = running

    facts = (home / "password").stat()
    assert stat.S_IMODE(facts.st_mode) == 0o600
    assert facts.st_uid == os.geteuid()
    assert cluster.password not in repr(cluster)
    other = type(cluster)(cluster.data_dir, cluster.port, cluster.superuser, "wrong", cluster.pid)
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(other, "select 1")


def test_the_server_has_its_own_session_and_none_of_our_files(
    postgres: EmbeddedPostgres, folder: Path, template: Path
) -> None:
    with (folder / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        cluster = postgres.start(folder / "apart", durable=False, copy_from=template)

        assert os.getsid(cluster.pid) == cluster.pid
        opened = subprocess.run(
            ["ls", "-l", f"/proc/{cluster.pid}/fd"], capture_output=True, text=True
        ).stdout
        if opened:
            assert "0 -> /dev/null" in opened
            assert str(ours.name) not in opened


def test_urls_are_quoted(running: tuple[Path, Cluster]) -> None:
    _, cluster = running
    base = f"127.0.0.1:{cluster.port}"
    assert cluster.url() == f"postgresql://babysea_admin:{cluster.password}@{base}/postgres"
    assert cluster.url("a b", "x@y", "p/w:") == f"postgresql://x%40y:p%2Fw%3A@{base}/a%20b"
    assert cluster.url("d", "someone") == f"postgresql://someone@{base}/d"
