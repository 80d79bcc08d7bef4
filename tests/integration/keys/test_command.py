"""`babysea key rotate`, `delete` and `explain` against a real server."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

import cli.running
from cli.commands.key import delete_key, list_keys, rotate_key
from cli.commands.key_explain import explain_access
from cli.grpc_client import Operator
from cli.running import Running, RunningRegion
from cli.supervisor.layout import Layout
from tests.integration.keys.live import Live, refusal


async def test_a_key_is_rotated_explained_and_deleted_from_the_command_line(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account = str(await live.region.new_account())
    made = await live.new_key(UUID(account))
    region = RunningRegion("us", live.server.address, "", account, "")
    token = live.operator[0][1].removeprefix("Bearer ")
    monkeypatch.setattr(cli.running, "find", lambda folder: Running(Layout.at(tmp_path), "", {"us": region}))
    monkeypatch.setattr(Running, "operator", lambda self, region: Operator(region.grpc, token))

    async def run(command: Callable[[argparse.Namespace], int], **asked: object) -> str:
        values = {"data_dir": tmp_path, "region": None, "account": None, "json": True, **asked}
        assert await asyncio.to_thread(command, argparse.Namespace(**values)) == 0
        return capsys.readouterr().out

    rotated = json.loads(await run(rotate_key, key_id=made.key.key_id, grace_hours=None))
    assert rotated["rotated"]["replaced_by"] == rotated["key_id"]
    await live.who(rotated["api_key"])
    listed = json.loads(await run(list_keys))["keys"]
    assert [key["status"] for key in listed] == ["active", "rotated"]

    asked = {"method": "babysea.keys.v1.KeyService/GetCallerKey", "address": "192.0.2.1"}
    told = json.loads(await run(explain_access, key_id=made.key.key_id, **asked))
    assert told["allowed"]
    monkeypatch.setattr("sys.stdin", io.StringIO("bye_us_nonsense\n"))
    text = await run(explain_access, key_id=None, **{**asked, "json": False})
    assert "refused: AUTHENTICATION_FAILED by format" in text

    await run(delete_key, key_id=made.key.key_id)
    assert (await refusal(live.who(made.secret))).reason == "AUTHENTICATION_FAILED"
    told = json.loads(await run(explain_access, key_id=made.key.key_id, **asked))
    assert (told["decided_by"], told["key_id"]) == ("known", None)
