"""The public description is true and current."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from tests.contract.gateway.conftest import World

ROOT = Path(__file__).parents[3]


def test_the_committed_description_is_what_the_routes_give() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "openapi.py"), "check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


async def test_the_gateway_serves_the_committed_description(world: World) -> None:
    served = (await world.client.get("/openapi.json")).json()
    assert served == json.loads((ROOT / "docs" / "openapi.json").read_text())


async def test_every_described_route_exists_and_asks_for_the_credential_that_it_names(world: World) -> None:
    world.client.headers.pop("authorization")
    description = json.loads((ROOT / "docs" / "openapi.json").read_text())
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            world.clock.at += timedelta(minutes=1)
            reply = await world.client.request(method, path)
            code = reply.json().get("error", {}).get("code", "")
            if operation.get("security") == []:
                assert code not in {"BSE1001", "BSE1002", "BSE1003", "BSE2019"}, path
            else:
                assert code == "BSE1001", path
