"""The services that a regional server can serve: one row per service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import grpc

from server.runtime.dependencies import Dependencies
from server.runtime.errors import StartError


async def _nothing() -> None:
    """For services that leave nothing behind."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that was made and waits to be registered."""

    full_name: str
    """As in the contract, for example "babysea.keys.v1.KeyService"."""
    register: Callable[[grpc.aio.Server], None]
    close: Callable[[], Awaitable[None]] = _nothing
    """Called when the server has stopped taking calls, before the connections close."""
    drain: Callable[[], Awaitable[None]] = _nothing
    """Called when the server begins to drain; ends the streams that would otherwise last as long as their readers."""


ServiceFactory = Callable[[Dependencies], Service]


def _accounts(shared: Dependencies) -> Service:
    from babysea.accounts.v1 import account_service_pb2_grpc as rpc
    from server.accounts.servicer import AccountServicer

    servicer = AccountServicer(shared.databases.app, shared.envelope, shared.catalog)
    return Service(
        "babysea.accounts.v1.AccountService",
        lambda server: rpc.add_AccountServiceServicer_to_server(servicer, server),
    )


def _identity(shared: Dependencies) -> Service:
    from babysea.accounts.v1 import identity_service_pb2_grpc as rpc
    from server.accounts.identity.assembly import identity_parts

    parts = identity_parts(shared)
    return Service(
        "babysea.accounts.v1.IdentityService",
        lambda server: rpc.add_IdentityServiceServicer_to_server(parts.servicer, server),
        close=parts.close,
    )


def _teams(shared: Dependencies) -> Service:
    from babysea.accounts.v1 import team_service_pb2_grpc as rpc
    from server.accounts.teams.assembly import teams_parts
    from server.accounts.teams.servicer import TeamServicer

    servicer = TeamServicer(teams_parts(shared))
    return Service(
        "babysea.accounts.v1.TeamService",
        lambda server: rpc.add_TeamServiceServicer_to_server(servicer, server),
    )


def _settings(shared: Dependencies) -> Service:
    from babysea.accounts.v1 import settings_service_pb2_grpc as rpc
    from server.accounts.settings.servicer import SettingsServicer

    servicer = SettingsServicer(shared.databases, shared.envelope)
    return Service(
        "babysea.accounts.v1.SettingsService",
        lambda server: rpc.add_SettingsServiceServicer_to_server(servicer, server),
    )


def _keys(shared: Dependencies) -> Service:
    from babysea.keys.v1 import key_service_pb2_grpc as rpc
    from server.keys.notices import KeyNotices
    from server.keys.servicer import KeyServicer

    servicer = KeyServicer(
        shared.databases.app,
        shared.hasher,
        shared.verifier,
        shared.settings.region,
        shared.clock,
        KeyNotices(shared.databases.app, shared.envelope, shared.clock, shared.settings.region),
        shared.limits.peek if shared.limits is not None else None,
    )
    return Service(
        "babysea.keys.v1.KeyService", lambda server: rpc.add_KeyServiceServicer_to_server(servicer, server)
    )


def _ledger(shared: Dependencies) -> Service:
    from babysea.ledger.v1 import ledger_service_pb2_grpc as rpc
    from server.ledger.servicer import LedgerServicer

    servicer = LedgerServicer(shared.databases)
    return Service(
        "babysea.ledger.v1.LedgerService",
        lambda server: rpc.add_LedgerServiceServicer_to_server(servicer, server),
    )


def _routing(shared: Dependencies) -> Service:
    from babysea.routing.v1 import routing_service_pb2_grpc as rpc
    from server.routing.servicer import RoutingServicer

    # Provider credentials are the workers' alone, so what is active here is what the catalog says.
    servicer = RoutingServicer(shared.catalog, clock=shared.clock)
    return Service(
        "babysea.routing.v1.RoutingService",
        lambda server: rpc.add_RoutingServiceServicer_to_server(servicer, server),
    )


def _generation(shared: Dependencies) -> Service:
    from babysea.generation.v1 import generation_service_pb2_grpc as rpc
    from server.generation.assembly import generation_parts

    parts = generation_parts(shared)
    return Service(
        "babysea.generation.v1.GenerationService",
        lambda server: rpc.add_GenerationServiceServicer_to_server(parts.servicer, server),
        close=parts.close,
        drain=parts.drain,
    )


def _files(shared: Dependencies) -> Service:
    from babysea.generation.v1 import generation_service_pb2_grpc as rpc
    from server.generation.assembly import file_servicer

    servicer = file_servicer(shared)
    return Service(
        "babysea.generation.v1.FileService",
        lambda server: rpc.add_FileServiceServicer_to_server(servicer, server),
    )


def _consent(shared: Dependencies) -> Service:
    from babysea.privacy.v1 import consent_service_pb2_grpc as rpc
    from server.privacy.servicer import ConsentServicer

    servicer = ConsentServicer(shared.databases.app, shared.envelope, shared.clock)
    return Service(
        "babysea.privacy.v1.ConsentService",
        lambda server: rpc.add_ConsentServiceServicer_to_server(servicer, server),
    )


def _notifications(shared: Dependencies) -> Service:
    from babysea.notifications.v1 import notification_service_pb2_grpc as rpc
    from server.notifications.servicer import NotificationServicer

    servicer = NotificationServicer(
        shared.databases.app, shared.databases.worker, shared.envelope, shared.clock
    )
    return Service(
        "babysea.notifications.v1.NotificationService",
        lambda server: rpc.add_NotificationServiceServicer_to_server(servicer, server),
    )


def _logs(shared: Dependencies) -> Service:
    from babysea.logs.v1 import log_service_pb2_grpc as rpc
    from server.logs.reading import LogReading
    from server.logs.servicer import LogServicer

    servicer = LogServicer(LogReading(shared.databases.app, shared.settings.region, shared.clock))
    return Service(
        "babysea.logs.v1.LogService", lambda server: rpc.add_LogServiceServicer_to_server(servicer, server)
    )


def _callbacks(shared: Dependencies) -> Service:
    from babysea.generation.v1 import callback_service_pb2_grpc as rpc
    from server.generation.assembly import callback_parts

    parts = callback_parts(shared)
    return Service(
        "babysea.generation.v1.CallbackService",
        lambda server: rpc.add_CallbackServiceServicer_to_server(parts.servicer, server),
        close=parts.close,
    )


SERVICES: Mapping[str, ServiceFactory] = {
    "accounts": _accounts,
    "identity": _identity,
    "teams": _teams,
    "settings": _settings,
    "keys": _keys,
    "ledger": _ledger,
    "routing": _routing,
    "generation": _generation,
    "files": _files,
    "callbacks": _callbacks,
    "logs": _logs,
    "notifications": _notifications,
    "consent": _consent,
}
"""Factory by the name that `--services` takes. A factory imports its service, so that others cost nothing."""


def chosen_services(
    names: str, services: Mapping[str, ServiceFactory] = SERVICES
) -> Mapping[str, ServiceFactory]:
    """The rows named by "all" or by names joined with commas.

    Raises:
        StartError: a name is unknown, or there is none.
    """
    if names.strip() == "all":
        return services
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in services]
    if unknown or not wanted:
        raise StartError(
            f'There is no service "{unknown[0] if unknown else names}"; '
            f"the services are {', '.join(services)}, or all."
        )
    return {name: services[name] for name in wanted}
