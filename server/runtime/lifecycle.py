"""The life of a regional server: start, serve, drain."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kit.clock import Clock
from kit.settings import Settings
from server.keys.allowlist import allows
from server.ledger.auditing import AuditWatch
from server.logs.assembly import recording_for
from server.runtime.dependencies import Dependencies, open_dependencies
from server.runtime.errors import StartError
from server.runtime.health import CHECK_SECONDS, HealthMonitor
from server.runtime.interceptors.access import (
    HEALTH,
    REFLECTION,
    methods_without_access,
    methods_without_account,
    permissions_of,
)
from server.runtime.interceptors.chain import Chain
from server.runtime.interceptors.metrics import CallMetrics
from server.runtime.interceptors.recording import Recording
from server.runtime.interceptors.standard import standard_chain
from server.runtime.limits.shared import open_windows
from server.runtime.listening import bind, bind_mutual
from server.runtime.rate_limit import AccountLimits, AuthFailures, Windows
from server.runtime.readiness import check_databases
from server.runtime.service_identity import TokenFileError, load_identities
from server.services import SERVICES, Service, ServiceFactory, chosen_services

_log = logging.getLogger("babysea.server")

_OPTIONS = (
    # Two servers on one port share its calls by chance; we want the second one to fail.
    ("grpc.so_reuseport", 0),
    # Our clients ping every 30 s, which the default of 5 minutes would punish with GOAWAY.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Long-lived channels come back through name resolution, and so find new servers.
    ("grpc.max_connection_age_ms", 600_000),
    ("grpc.max_connection_age_grace_ms", 120_000),
)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that takes calls."""

    address: str
    """Where it really listens, for example "127.0.0.1:50051"."""
    services: tuple[str, ...]
    """Full names of what it serves."""
    shared: Dependencies
    metrics: CallMetrics
    health: HealthMonitor
    mutual_address: str = ""
    """Where it listens for callers with a client certificate; empty where there is no mTLS."""

    @property
    def port(self) -> int:
        """The port of the address."""
        return int(self.address.rpartition(":")[2])


@asynccontextmanager
async def serve(
    settings: Settings,
    *,
    services: Mapping[str, ServiceFactory] = SERVICES,
    clock: Clock | None = None,
    health_seconds: float = CHECK_SECONDS,
) -> AsyncIterator[RunningServer]:
    """Serves until the block is left, then drains: calls in progress get `settings.drain_seconds` to end.

    Args:
        settings: the settings; `settings.services` names the services among `services`.
        services: the services to choose from.
        clock: the clock of every rule about time.
        health_seconds: time between two looks at the database.

    Raises:
        StartError: it cannot start; the message is one sentence that says what to do.
    """
    factories = chosen_services(settings.services, services)
    async with AsyncExitStack() as closing:
        shared = open_dependencies(settings, clock)
        closing.push_async_callback(shared.close)
        await check_databases(shared.databases)
        shared.verifier.start()
        windows = await open_windows(settings, shared.clock, shared.envelope.keyed_hash)
        closing.push_async_callback(windows.close)
        plans = shared.catalog
        limits = AccountLimits(windows, lambda plan: plans.plan(plan).requests_per_minute)
        shared = replace(shared, limits=limits)
        made = [make(shared) for make in factories.values()]
        for service in made:
            closing.push_async_callback(service.close)
        names = tuple(service.full_name for service in made)
        _check_contract(names, shared.members.knows)
        metrics = CallMetrics()
        recording = await closing.enter_async_context(recording_for(shared, metrics.gauge))
        chain = _chain(shared, metrics, windows, limits, recording)
        health = HealthMonitor(settings.database_url.get_secret_value(), names, health_seconds)
        closing.push_async_callback(health.close)
        server = _server(settings, chain, made, health)
        address, mutual_address = bind(server, settings), bind_mutual(server, settings)
        await health.start()
        await closing.enter_async_context(
            AuditWatch(shared.databases.worker, health.servicer, metrics.gauge, settings.audit_seconds)
        )
        await server.start()
        closing.push_async_callback(_drain, server, made, chain, health, settings.drain_seconds)
        facts = {"address": address, "mutual": mutual_address, "region": settings.region}
        _log.info("serving", extra={"facts": facts})
        yield RunningServer(address, names, shared, metrics, health, mutual_address)


async def _drain(
    server: grpc.aio.Server, services: Sequence[Service], chain: Chain, health: HealthMonitor, seconds: float
) -> None:
    _log.info("draining", extra={"facts": {"seconds": seconds}})
    await health.drain()
    for service in services:
        await service.drain()
    # Whoever watches our health has just heard that it ends, and would otherwise hold up the rest.
    await chain.end_watches()
    await server.stop(grace=seconds)
    _log.info("stopped")


def _chain(
    shared: Dependencies,
    metrics: CallMetrics,
    windows: Windows,
    limits: AccountLimits,
    recording: Recording | None,
) -> Chain:
    try:
        identities = load_identities(shared.settings)
    except TokenFileError as error:
        raise StartError(str(error)) from error
    return standard_chain(
        keys=shared.verifier,
        sessions=shared.sessions,
        members=shared.members,
        identities=identities,
        allows=allows,
        limits=limits,
        failures=AuthFailures(windows, shared.address_hash, shared.catalog.pre_auth_failures_per_minute),
        metrics=metrics,
        address_hash=shared.address_hash,
        recording=recording,
    )


def _server(
    settings: Settings, chain: Chain, services: Sequence[Service], health: HealthMonitor
) -> grpc.aio.Server:
    server = grpc.aio.server(
        interceptors=[chain], options=_OPTIONS, maximum_concurrent_rpcs=settings.max_concurrent_rpcs
    )
    for service in services:
        service.register(server)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    if settings.reflection:
        names = [service.full_name for service in services]
        reflection.enable_server_reflection([*names, HEALTH, REFLECTION], server)
    return server


def _check_contract(services: Sequence[str], knows: Callable[[str], bool]) -> None:
    for service in services:
        for path in methods_without_account(service):
            raise StartError(f"{path} has a permission, so its request needs the field account_id.")
        for permission in sorted(permissions_of(service)):
            if not knows(permission):
                raise StartError(
                    f'{service} asks for the permission "{permission}", which the role grid lacks.'
                )
        for path in methods_without_access(service):
            raise StartError(f"{path} has no access rule, so nobody could call it; give it one in the proto.")
