"""Quiet connections are kept alive by pings, and a server does not take our own pings for an attack."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from babysea_sdk.channel import channel_options
from server.runtime import lifecycle
from server.runtime.lifecycle import serve
from tests.support.postgres import TestDatabase
from tests.support.region import settings_for

FASTER = 25
"""Both sides count milliseconds this many times as fast; gRPC pings once a second at most."""
PINGS = 5
"""The third unwelcome one ends a connection."""


def hurried(options: Any) -> list[tuple[str, Any]]:
    """Options of a channel or a server with its pings sent or allowed that much more often."""
    return [
        (name, value // FASTER if name.endswith(("keepalive_time_ms", "without_data_ms")) else value)
        for name, value in options
    ]


async def test_a_quiet_connection_stays_for_many_pings(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_OPTIONS", hurried(lifecycle._OPTIONS))
    options = hurried(channel_options())
    every = dict(options)["grpc.keepalive_time_ms"] / 1000
    async with (
        serve(settings_for(database, services="keys", drain_seconds=0)) as server,
        grpc.aio.insecure_channel(server.address, options=options) as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        # Held open as a watch of a customer is: nothing is sent on it while nothing changes.
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="babysea.accepting"))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        changed = asyncio.ensure_future(channel.wait_for_state_change(grpc.ChannelConnectivity.READY))
        await asyncio.wait({changed}, timeout=PINGS * every)
        assert not changed.done(), channel.get_state()
        changed.cancel()
        watch.cancel()
