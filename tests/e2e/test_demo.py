"""`babysea demo` on a machine where the usual ports are taken."""

import contextlib
import json
import socket
from pathlib import Path

import pytest

from cli.demo.media import decode
from tests.e2e.conftest import babysea, new_folder, processes_of, remove_folder

pytestmark = pytest.mark.timeout(240)


def test_the_demo_shows_a_picture_and_a_video_per_region_and_leaves_no_process() -> None:
    folder = new_folder()
    data_dir = folder / "data"
    try:
        with contextlib.ExitStack() as strangers:
            for port in (8080, 8081):
                # Taken by us, or by somebody else already, which is as good.
                with contextlib.suppress(OSError):
                    strangers.enter_context(socket.create_server(("127.0.0.1", port)))
            done = babysea("demo", "--data-dir", str(data_dir), seconds=200)
        assert done.returncode == 0, done.stderr
        assert processes_of(folder) == []
        shown = json.loads((data_dir / "demo.json").read_text())
        assert list(shown) == ["us", "eu"]
        for region, facts in shown.items():
            assert not facts["api"].endswith((":8080", ":8081"))
            assert [made["media"] for made in facts["generations"]] == ["image", "video"]
            for made in facts["generations"]:
                assert made["status"] == "succeeded"
                assert made["provider_used"] in made["provider_order"]
                assert len(made["provider_order"]) >= 2
                spent = made["balance_before"] - made["balance_after"]
                assert spent == pytest.approx(made["price_micros"] / 1e6)
                assert [entry["kind"] for entry in made["ledger"]] == ["hold", "capture"]
                assert made["trace"]["region"] == region
                assert made["trace"]["spans"] > 5
                for file in made["files"]:
                    assert decode(Path(file["path"]))["bytes"] == file["bytes"]
                assert made["generation_id"] in done.stdout
        assert "4 of 4 generations succeeded" in done.stdout
        assert "bye_" not in done.stdout + done.stderr
        assert "\x1b[" not in done.stdout
    finally:
        remove_folder(folder, data_dir / "demo")


def test_a_demo_that_cannot_start_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = babysea("demo", "--data-dir", str(tmp_path / "file"))
    assert done.returncode == 1
    assert "Cannot use " in done.stderr
    assert processes_of(tmp_path) == []
