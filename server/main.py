"""The regional server as a program."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping

import uvloop
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor

from kit.logs import configure_logs
from kit.settings import Settings
from kit.telemetry import configure_telemetry
from server.runtime.fault_points import arm
from server.runtime.lifecycle import RunningServer, serve
from server.services import SERVICES, ServiceFactory


def run(
    settings: Settings,
    *,
    services: Mapping[str, ServiceFactory] = SERVICES,
    ready: Callable[[RunningServer], None] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then drains and returns.

    Args:
        settings: the settings of the process.
        services: the services to choose from.
        ready: called once when calls are taken.

    Raises:
        StartError: it cannot start; the message is one sentence that says what to do.
    """
    configure_logs(settings.log_level)
    arm(settings)
    telemetry = configure_telemetry(
        "server",
        region=settings.region,
        sample_ratio=settings.trace_sample_ratio,
        trace_dir=settings.trace_dir,
        otlp_endpoint=settings.otlp_endpoint,
    )
    instrumentor = AsyncPGInstrumentor()  # type: ignore[no-untyped-call]
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument()
    try:
        # One event loop per process: several of them disturb each other's gRPC poller.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve_until_told(settings, services, ready))
    finally:
        telemetry.shutdown()


async def _serve_until_told(
    settings: Settings,
    services: Mapping[str, ServiceFactory],
    ready: Callable[[RunningServer], None] | None,
) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with serve(settings, services=services) as server:
        if ready is not None:
            ready(server)
        await told.wait()
