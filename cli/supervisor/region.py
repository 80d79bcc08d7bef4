"""One region of the stack: its database, its server, its executors, and the guard of its database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cli.errors import CliError
from cli.grpc_client import Operator
from cli.supervisor import bootstrap, cluster, environment, readiness, valkey
from cli.supervisor.children import Children, Program
from cli.supervisor.layout import Layout, RegionLayout
from cli.supervisor.plan import Plan
from cli.supervisor.ports import HOST
from cli.supervisor.secrets import RegionSecrets, read_token
from server.runtime.embedded import EmbeddedPostgres, EmbeddedPostgresError

START_SECONDS = 60.0
_LOOK_SECONDS = 1.0


class Stopped(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The start was called off."""


@dataclass
class RegionStack:
    """Everything that runs for one region."""

    region: str
    layout: Layout
    plan: Plan
    secrets: RegionSecrets
    children: Children
    workers: int
    stop: threading.Event
    tell: Callable[[str], None]
    servers: int = 1
    postgres: EmbeddedPostgres = field(default_factory=EmbeddedPostgres)
    _guard: threading.Thread | None = None

    @property
    def place(self) -> RegionLayout:
        """Its folder."""
        return self.layout.region(self.region)

    @property
    def grpc(self) -> str:
        """Address of its server; of the first one, where there are several."""
        return f"{HOST}:{self.plan.grpc[self.region]}"

    def start(self) -> dict[str, object]:
        """Starts everything, waits until it answers, and returns the region's part of ready.json.

        Raises:
            CliError, EmbeddedPostgresError: one sentence.
            Stopped: `stop` was set meanwhile.
        """
        valkey_port = self.plan.valkey[self.region]
        limits = valkey.run(self.region, self.place, valkey_port, self.secrets, self.children, self.tell)
        running = self.postgres.start(self.place.postgres)
        self._go_on()
        urls = cluster.urls_of(running, self.secrets)
        cluster.migrate(self.region, urls, self.secrets)
        self._go_on()
        for number, name in enumerate(_names("server", self.servers), 1):
            server = environment.for_server(self.layout, self.plan, self.region, self.secrets, urls, number)
            self._run(name, {**server, **limits})
        worker = environment.for_worker(self.layout, self.plan, self.region, self.secrets, urls)
        for name in _names("worker", self.workers):
            self._run(name, worker)
        self._guard = threading.Thread(target=self._keep_database, args=(running.port,), daemon=True)
        self._guard.start()
        self._wait_for_servers()
        with Operator(self.grpc, read_token(self.place)) as operator:
            account = bootstrap.ensure(self.place, operator)
        return {
            "grpc": self.grpc,
            **(
                {"grpc_all": self.plan.servers(self.region)}
                if len(self.plan.servers(self.region)) > 1
                else {}
            ),
            "api": self.plan.api_url(self.region),
            "account_id": account.account_id,
            "api_key": account.api_key,
            "database_url": urls.admin,
        }

    def stop_database(self) -> None:
        """Stops the cluster; one that does not want to end in time is made to, which loses no committed data."""
        if self._guard is not None:
            self._guard.join()
        stop_cluster(self.postgres, self.place)

    def _run(self, what: str, variables: dict[str, str]) -> None:
        command = environment.command(what.split()[0])
        self.children.run(Program(f"{self.region} {what}", tuple(command), variables))

    def _wait_for_servers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        names = _names("server", self.servers)
        for name, address in zip(names, self.plan.servers(self.region), strict=True):
            self._wait_for_server(f"{self.region} {name}", address, deadline)

    def _wait_for_server(self, name: str, address: str, deadline: float) -> None:
        while not readiness.serving(address):
            self._go_on()
            self.children.check_alive(name)
            if time.monotonic() > deadline:
                raise CliError(
                    f"The program “{name}” did not get ready in {START_SECONDS:.0f} s; "
                    f"read {self.children.log_of(name)}."
                )
            time.sleep(0.05)

    def _go_on(self) -> None:
        if self.stop.is_set():
            raise Stopped

    def _keep_database(self, port: int) -> None:
        """Starts the database again when it died; its programs reconnect by themselves, as its port stays."""
        while not self.stop.wait(_LOOK_SECONDS):
            try:
                if self.postgres.status(self.place.postgres).state != "stopped":
                    continue
                self.tell(f"The database of {self.region} ended; starting it again.")
                self.postgres.start(self.place.postgres, port=port)
            except EmbeddedPostgresError as error:
                self.tell(f"The database of {self.region} is away: {error.message}")


def _names(what: str, count: int) -> list[str]:
    return [what] if count == 1 else [f"{what} {number}" for number in range(1, count + 1)]


def stop_cluster(postgres: EmbeddedPostgres, place: RegionLayout, seconds: float = 15.0) -> None:
    """Stops a cluster in good order, or after `seconds` at once."""
    patient = EmbeddedPostgres(postgres.start_seconds, seconds)
    try:
        patient.stop(place.postgres)
    except EmbeddedPostgresError:
        patient.stop(place.postgres, "immediate")
