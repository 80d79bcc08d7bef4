"""The example of the SDK, as a process of its own over mTLS."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from babysea_sdk import TlsFiles
from tests.integration.transport.conftest import Secured

EXAMPLE = Path(__file__).parents[3] / "clients" / "python" / "examples" / "ledger_and_keys.py"


async def _run(secured: Secured, service: TlsFiles, operator: TlsFiles) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLE),
        *("--target", secured.server.mutual_address, "--region", "us"),
        *("--authorities", str(secured.authority.file)),
        *("--service", str(service.certificate), str(service.key)),
        *("--operator", str(operator.certificate), str(operator.key)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("BABYSEA_")},
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_another_process_drives_ledger_and_keys_over_mtls(secured: Secured) -> None:
    code, out, err = await _run(secured, secured.gateway, secured.operator)
    assert code == 0, err
    steps = {entry.pop("step"): entry for entry in map(json.loads, out.splitlines())}
    assert steps == {
        "granted": {"result": "granted"},
        "reserved": {"result": "held"},
        "captured": {"result": "captured", "repeated": "already_captured"},
        "balance": {"posted_micros": 3_800_000, "held_micros": 0},
        "key works": {"account": True},
        "key revoked": {"refused_with": "AUTHENTICATION_FAILED"},
    }
    assert await secured.region.audit() == []


async def test_with_its_certificates_swapped_it_says_who_may_not(secured: Secured) -> None:
    code, out, err = await _run(secured, secured.operator, secured.gateway)
    assert code == 1
    assert out == ""
    assert "INSUFFICIENT_PERMISSIONS [" in err
    assert "Traceback" not in err
