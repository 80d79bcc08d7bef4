"""The worker as a program: it executes the region's generations."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor

from kit.logs import configure_logs
from kit.settings import Settings
from kit.telemetry import configure_telemetry
from server.accounts.tokens import reset_token_maker
from server.generation.deletion import FileRemoval
from server.generation.execution import store
from server.generation.execution.ambiguity import AmbiguityPolicy
from server.generation.execution.callback_address import CallbackAddresses
from server.generation.execution.executor import Executor, ExecutorSettings
from server.generation.execution.health import ProviderHealth
from server.generation.execution.inputs import Inputs
from server.generation.execution.late import LateSuccesses
from server.generation.execution.loading import Loading
from server.generation.execution.outputs import Delivery
from server.generation.execution.step import Stepper
from server.generation.storage import OutputStore
from server.ledger.auditing import Auditor
from server.ledger.reconciliation import Reconciler
from server.notifications.assembly import open_sender
from server.notifications.low_balance import LowBalance
from server.notifications.sending import Forgetting
from server.privacy.consents import consented
from server.providers.guard import GuardedBackend
from server.providers.inputs import InputFetcher
from server.providers.registry import open_providers
from server.routing.breakers import Breakers
from server.runtime.combiner import Combiner
from server.runtime.dependencies import Dependencies, open_dependencies
from server.runtime.fault_points import Point, arm, reach
from server.runtime.upkeep import Upkeep

_DOWNLOAD_SECONDS = 600.0
_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT, then drains, hands its jobs back and returns.

    Raises:
        StartError: it cannot start; the message is one sentence that says what to do.
    """
    configure_logs(settings.log_level)
    arm(settings)
    telemetry = configure_telemetry(
        "worker",
        region=settings.region,
        sample_ratio=settings.trace_sample_ratio,
        trace_dir=settings.trace_dir,
        otlp_endpoint=settings.otlp_endpoint,
    )
    AsyncPGInstrumentor().instrument()  # type: ignore[no-untyped-call]
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work_until_told(settings))
    finally:
        telemetry.shutdown()


@asynccontextmanager
async def open_executor(shared: Dependencies) -> AsyncIterator[Executor]:
    """An executor with its providers and its output store."""
    settings = shared.settings
    # One call ends well within the time that a stopping worker is given.
    providers = open_providers(settings, shared.catalog, call_seconds=15.0)
    if providers.missing:
        _log.warning("providers without a credential are out: %s", ", ".join(providers.missing))

    async def settle(items: Sequence[store.Settlement]) -> Sequence[str]:
        reach(Point.SETTLEMENT_DECIDING)
        words = await store.settle_many(shared.databases.admitter, items)
        reach(Point.SETTLEMENT_COMMITTED)
        return words

    settlements = Combiner("settle", settle)
    folder, loopback = _clean_folder(settings), settings.input_allow_private
    fetcher = InputFetcher(GuardedBackend(allow_loopback=loopback), allow_loopback=loopback, directory=folder)
    engine = shared.databases.worker
    loading = Loading(engine, shared.envelope, shared.catalog)
    stepper = Stepper(
        engine,
        settlements,
        loading,
        shared.catalog,
        providers,
        Delivery(providers, OutputStore(settings.storage_url, settings.data_dir), folder),
        ProviderHealth(Breakers(shared.clock)),
        CallbackAddresses(shared.envelope.master, settings.callback_base_url),
        AmbiguityPolicy(settings.duplicate_spend_micros),
        Inputs(fetcher, at_once=max(1, settings.worker_concurrency // 2)),
    )
    executor_settings = ExecutorSettings(
        concurrency=settings.worker_concurrency,
        lease_seconds=settings.lease_seconds,
        drain_seconds=settings.drain_seconds,
    )
    try:
        async with LateSuccesses(engine, providers, loading):
            yield Executor(engine, shared.databases.lease, stepper, executor_settings)
    finally:
        await settlements.close()
        await providers.aclose()
        await fetcher.aclose()


def _clean_folder(settings: Settings) -> Path:
    """The folder for downloads, without what a killed worker of this region left in it."""
    folder = settings.data_dir / "tmp" / settings.region
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():
        # Younger ones may be another worker's at this moment: a download ends within two minutes.
        if time.time() - left.stat().st_mtime > _DOWNLOAD_SECONDS:
            left.unlink(missing_ok=True)
    return folder


async def _work_until_told(settings: Settings) -> None:
    shared = open_dependencies(settings)
    try:
        engine = shared.databases.worker
        async with (
            open_executor(shared) as executor,
            Upkeep(engine),
            Reconciler(engine),
            FileRemoval(engine, OutputStore(settings.storage_url, settings.data_dir)),
            Auditor(engine, settings.audit_seconds),
            open_sender(
                shared,
                make_reset_token=reset_token_maker(shared.envelope, shared.clock),
                consented=consented,
            ),
            Forgetting(engine),
            LowBalance(engine, shared.envelope),
        ):
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, executor.stop)
            _log.info("worker started", extra={"facts": {"region": settings.region}})
            await executor.run()
    finally:
        await shared.close()
