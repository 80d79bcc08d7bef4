"""`babysea server`, `gateway`, `worker`, `sandbox` and `migrate`: one program, with settings from the environment."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli import render
from cli.commands.declare import Subparsers, add
from cli.errors import CliError, Exit
from cli.supervisor.options import parse_port, parse_processes

if TYPE_CHECKING:
    from kit.settings import Settings

_SETTINGS = "Settings come from the environment: every BABYSEA_ variable in docs/configuration.md."
_REGIONAL = (
    "database_url",
    "admitter_database_url",
    "worker_database_url",
    "vault_database_url",
    "master_key",
)


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the commands."""
    server = add(
        commands,
        everywhere,
        "server",
        "run a regional gRPC server, in one process or several",
        f"Run a regional gRPC server. {_SETTINGS}",
    )
    server.add_argument("--services", metavar="A,B", help="services to serve (default: all)")
    server.add_argument(
        "--processes",
        type=parse_processes,
        nargs="?",
        const=0,
        default=1,
        metavar="N",
        help="processes, each on a port of its own; one per core without N, with auto or with 0 (default: 1)",
    )
    server.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help="address to listen on; several processes take this port and the next ones, port 0 takes free ones "
        "(default: BABYSEA_GRPC_LISTEN)",
    )
    server.add_argument(
        "--mutual-listen",
        metavar="HOST:PORT",
        help="the same for callers with a certificate (default: BABYSEA_GRPC_MUTUAL_LISTEN)",
    )
    server.epilog = (
        "Name every address to the gateway, joined by semicolons, as in us=127.0.0.1:50051;127.0.0.1:50052: calls go to "
        "them in turn. A process that dies is started again; SIGTERM drains them all."
    )
    server.set_defaults(run=run_server)
    add(
        commands,
        everywhere,
        "gateway",
        "run the public REST gateway",
        f"Run the public REST gateway. {_SETTINGS}",
    ).set_defaults(run=run_gateway)
    add(
        commands, everywhere, "worker", "run one executor", f"Run one executor of generations. {_SETTINGS}"
    ).set_defaults(run=run_worker)
    sandbox = add(
        commands,
        everywhere,
        "sandbox",
        "run the provider sandbox",
        "Run the provider sandbox: eight inference providers on one port, with its own controls at /_sandbox.",
    )
    sandbox.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    sandbox.add_argument("--port", type=parse_port, default=8090, metavar="PORT", help="port (default: 8090)")
    sandbox.set_defaults(run=run_sandbox)
    migrate = add(
        commands,
        everywhere,
        "migrate",
        "bring a region's databases to the newest schema",
        "Create the roles and bring the main and the vault database to the newest schema. Fine to repeat. "
        "BABYSEA_ADMIN_DATABASE_URL and BABYSEA_VAULT_DATABASE_URL must be of a role that may create roles; passwords in "
        "the other database URLs become those of their roles.",
    )
    migrate.add_argument(
        "--create-databases", action="store_true", help="create the two databases if they are missing"
    )
    migrate.set_defaults(run=run_migrate)


def run_server(asked: argparse.Namespace) -> int:
    """Serves until SIGTERM."""
    changes = {
        "services": asked.services,
        "grpc_listen": asked.listen,
        "grpc_mutual_listen": asked.mutual_listen,
    }
    settings = _settings({name: value for name, value in changes.items() if value is not None})
    _check(settings, _REGIONAL)
    _end_with_supervisor()
    if asked.processes != 1:
        return _run_processes(settings, asked)
    from server.main import run

    run(settings)
    return Exit.OK


def _run_processes(settings: Settings, asked: argparse.Namespace) -> int:
    from cli.supervisor.environment import SUPERVISED, command
    from kit.logs import configure_logs
    from server.processes import addresses, cores, run

    configure_logs(settings.log_level)
    services = [] if asked.services is None else ["--services", asked.services]

    count = asked.processes or cores()
    listens = addresses(settings.grpc_listen, count)
    mutual = dict(zip(listens, addresses(settings.grpc_mutual_listen, count), strict=True))

    def serve(listen: str) -> list[str]:
        return command("server", "--listen", listen, "--mutual-listen", mutual[listen], *services)

    return run(listens, serve, {**os.environ, SUPERVISED: "1"}, settings.drain_seconds)


def run_worker(asked: argparse.Namespace) -> int:
    """Works until SIGTERM."""
    settings = _settings({})
    _check(settings, _REGIONAL)
    _end_with_supervisor()
    from server.worker import run

    run(settings)
    return Exit.OK


def run_gateway(asked: argparse.Namespace) -> int:
    """Serves until SIGTERM."""
    settings = _settings({})
    if not settings.gateway_upstreams:
        raise CliError(
            "BABYSEA_GATEWAY_UPSTREAMS is not set; name the regional servers, for example us=127.0.0.1:50051.",
            Exit.USAGE,
        )
    _end_with_supervisor()
    from gateway.main import run

    run(settings)
    return Exit.OK


def run_sandbox(asked: argparse.Namespace) -> int:
    """Serves until SIGTERM."""
    _end_with_supervisor()
    from sandbox.main import run

    run(asked.host, asked.port)
    return Exit.OK


def run_migrate(asked: argparse.Namespace) -> int:
    """Migrates both databases."""
    from cli.database import check_url, create_databases, passwords_in, reach

    settings = _settings({})
    admin, vault = (
        settings.admin_database_url.get_secret_value(),
        settings.vault_database_url.get_secret_value(),
    )
    _refuse_transport(settings)
    check_url("BABYSEA_ADMIN_DATABASE_URL", admin)
    check_url("BABYSEA_VAULT_DATABASE_URL", vault)
    if asked.create_databases:
        create_databases({"BABYSEA_ADMIN_DATABASE_URL": admin, "BABYSEA_VAULT_DATABASE_URL": vault})
    reach({"BABYSEA_ADMIN_DATABASE_URL": admin, "BABYSEA_VAULT_DATABASE_URL": vault})
    roles = (
        settings.database_url,
        settings.admitter_database_url,
        settings.worker_database_url,
        settings.logs_database_url,
    )
    from server.migrations.runner import upgrade

    upgrade(admin, vault, passwords_in([url.get_secret_value() for url in roles]))
    if asked.json:
        render.say_json({"migrated": True})
    else:
        render.say("The databases have the newest schema.")
    return Exit.OK


def _settings(changes: dict[str, str]) -> Settings:
    from kit.settings import Settings

    return Settings().model_copy(update=changes)


def _check(settings: Settings, names: Sequence[str]) -> None:
    """Ends with one sentence when a setting is missing or a database cannot be reached."""
    from cli.database import check_url, reach

    _refuse_transport(settings)
    urls: dict[str, str] = {}
    for name in names:
        variable = f"BABYSEA_{name.upper()}"
        value = getattr(settings, name).get_secret_value()
        if name.endswith("database_url"):
            check_url(variable, value)
            urls[variable] = value
        elif not value:
            raise CliError(
                f"{variable} is not set; see docs/configuration.md, or use `babysea up`.", Exit.USAGE
            )
    reach(urls)


def _refuse_transport(settings: Settings) -> None:
    """Ends with one sentence before anything is sent over a plaintext hop of production, or to a provider outside of it."""
    from server.runtime.errors import StartError
    from server.runtime.transport import refuse_plaintext, refuse_real_providers

    try:
        refuse_plaintext(settings)
        refuse_real_providers(settings)
    except StartError as error:
        raise CliError(str(error), Exit.USAGE) from error


def _end_with_supervisor() -> None:
    """Ends this program when the supervisor is gone, even if that was killed: its pipe into us then ends."""
    from cli.supervisor.environment import SUPERVISED

    if os.environ.get(SUPERVISED) != "1":
        return

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()
