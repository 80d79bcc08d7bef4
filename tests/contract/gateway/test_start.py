"""Starting and stopping: one sentence for every mistake, and no request lost."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.main import GatewayStartError, serving
from kit.settings import Settings
from tests.contract.gateway import fake_region
from tests.contract.gateway.conftest import World, running
from tests.contract.gateway.fake_region import KEY, Region


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gateway_upstreams": ""}, "BABYSEA_GATEWAY_UPSTREAMS"),
        ({"gateway_upstreams": "us"}, "us=value"),
        ({"gateway_upstreams": "mars=127.0.0.1:1"}, "us, eu and jp"),
        ({"gateway_upstreams": "us=nowhere"}, "host:port"),
        ({"gateway_upstreams": "us=a.example:1;b.example:2"}, "IPv4"),
        ({"gateway_listen": "eu=127.0.0.1:0"}, "BABYSEA_GATEWAY_LISTEN"),
        ({"gateway_listen": "us=nowhere"}, "127.0.0.1:8080"),
        ({"gateway_listen": "us=0.0.0.0:0"}, "loopback"),
        ({"gateway_listen": "us=127.0.0.1:99999"}, "cannot listen"),
        ({"mode": "production"}, "plaintext"),
    ],
)
async def test_a_wrong_setting_ends_in_one_sentence(settings: dict[str, Any], words: str) -> None:
    values = {"gateway_listen": "us=127.0.0.1:0", "gateway_upstreams": "us=127.0.0.1:1", **settings}
    with pytest.raises(GatewayStartError) as raised:
        async with serving(Settings(**values)):
            pass
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_a_taken_port_ends_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = f"us=127.0.0.1:{port}"
        with pytest.raises(GatewayStartError, match=f"127.0.0.1:{port} for us"):
            async with serving(Settings(gateway_listen=listen, gateway_upstreams="us=127.0.0.1:1")):
                pass


async def test_a_region_without_an_upstream_gets_no_port(tmp_path: Path) -> None:
    async with running(tmp_path, gateway_listen="us=127.0.0.1:0,eu=127.0.0.1:0,jp=127.0.0.1:0") as world:
        assert set(world.urls) == {"us", "eu"}


async def test_two_processes_of_a_region_take_turns(tmp_path: Path) -> None:
    async with running(tmp_path) as first, running(tmp_path) as second:
        both = f"us=127.0.0.1:{first.us.port};127.0.0.1:{second.us.port}"
        async with running(tmp_path, gateway_upstreams=both, gateway_listen="us=127.0.0.1:0") as world:
            # Both connections stand once a call of each has been seen; from then on they take turns.
            async with asyncio.timeout(10):
                while not (first.us.seen and second.us.seen):
                    assert (await world.client.get("/v1/status")).status_code == 200
            first.us.seen.clear()
            second.us.seen.clear()
            for _ in range(20):
                await world.client.get("/v1/status")
            assert (len(first.us.seen), len(second.us.seen)) == (10, 10)


async def test_a_request_in_progress_is_answered_before_the_gateway_stops(tmp_path: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_request: Any, _context: Any) -> None:
        begun.set()
        await go_on.wait()

    waiting: asyncio.Task[httpx.Response]

    async def stop_soon(world: World) -> None:
        await begun.wait()
        asyncio.get_running_loop().call_later(0.3, go_on.set)

    async with running(tmp_path) as world:
        world.us.hooks["GetCallerKey"] = wait
        client = httpx.AsyncClient(base_url=world.urls["us"], headers=world.client.headers, trust_env=False)
        waiting = asyncio.create_task(client.get("/v1/status"))
        await stop_soon(world)
    assert (await waiting).status_code == 200
    await client.aclose()


async def test_the_program_answers_what_is_in_progress_when_it_is_told_to_stop(tmp_path: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_request: Any, _context: Any) -> None:
        begun.set()
        await go_on.wait()

    region = Region("us")
    server = await fake_region.start(region)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "BABYSEA_GATEWAY_LISTEN": f"us=127.0.0.1:{port}",
        "BABYSEA_GATEWAY_UPSTREAMS": f"us=127.0.0.1:{region.port}",
        "BABYSEA_TRACE_DIR": str(tmp_path / "traces"),
    }
    program = "from gateway.main import run; from kit.settings import Settings; run(Settings())"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env={**os.environ, **environment}, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    assert "the gateway is ready" in json.loads(await process.stderr.readline())["message"]
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(headers={"authorization": KEY}, trust_env=False) as client:
        assert (await client.get(f"{url}/v1/status")).status_code == 200
        region.hooks["GetCallerKey"] = wait
        waiting = asyncio.create_task(client.get(f"{url}/v1/status"))
        await begun.wait()
        process.terminate()
        async with asyncio.timeout(10):
            while b"the gateway stops" not in await process.stderr.readline():
                pass
        go_on.set()
        assert (await waiting).status_code == 200
    log = (await process.stderr.read()).decode()
    assert await process.wait() == 0
    assert "Traceback" not in log
    assert "bye_us" not in log
    assert list((tmp_path / "traces" / "us").glob("gateway-*.jsonl"))
    await server.stop(None)
