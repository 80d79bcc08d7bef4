"""Start, stop and look at one embedded PostgreSQL; all calls block, and all may be repeated safely."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from server.runtime.embedded import configuration, creation, ports, postmaster, temp_area
from server.runtime.embedded.account import ServerAccount
from server.runtime.embedded.bundle import Bundle
from server.runtime.embedded.errors import (
    ClusterBusy,
    ClusterDataMissing,
    FolderUnreachable,
    StartFailed,
    StartTimedOut,
    StopTimedOut,
    WrongVersion,
    disk_full,
    folder_trouble_as_sentence,
)
from server.runtime.embedded.home import ClusterHome, Memory
from server.runtime.embedded.postmaster import Postmaster

_PORT_TRIES = 5


@dataclass(frozen=True)
class Cluster:
    """A running cluster. `data_dir` is where its files really lie; `pid` is its postmaster."""

    data_dir: Path
    port: int
    superuser: str
    password: str = field(repr=False)
    pid: int

    def url(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """Return `postgresql://user:password@127.0.0.1:port/database`, quoted.

        Without `user` it is the superuser with its own password; another user without `password` gets none.
        """
        known = (self.superuser, self.password) if user is None else (user, password)
        credentials = ":".join(quote(part, safe="") for part in known if part is not None)
        return f"postgresql://{credentials}@{ports.HOST}:{self.port}/{quote(database, safe='')}"


@dataclass(frozen=True)
class Status:
    """What is there: no cluster, one that is stopped, one not yet ready, or one that accepts connections."""

    state: Literal["absent", "stopped", "starting", "running"]
    data_dir: Path
    log_file: Path
    port: int | None = None
    pid: int | None = None


@dataclass(frozen=True)
class EmbeddedPostgres:
    """Manages clusters, each in a folder of its own; holds no state, so threads and processes may share it."""

    start_seconds: float = 60.0
    stop_seconds: float = 60.0
    temp_areas: tuple[Path, ...] = field(default_factory=temp_area.default_areas)

    def start(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        durable: bool = True,
        copy_from: Path | None = None,
    ) -> Cluster:
        """Return the cluster of `data_dir`, running and accepting connections.

        One that runs already is adopted; a crashed one recovers; one that does not exist is made, by copying
        the stopped cluster of `copy_from` (then with its password) if that is given. The port is `port` or
        raises `PortTaken`, else that of the last start if still free, else any free one. Without `durable`
        a crash of the machine may destroy the data, and one of the server loses the last commits. Raises `EmbeddedPostgresError`.
        """
        home = ClusterHome.at(data_dir)
        with folder_trouble_as_sentence(home.path):
            home.make()
            with home.locked(2 * self.start_seconds):
                if adopted := self._adopt(home, port, durable=durable):
                    return adopted
                account = ServerAccount.choose(home.data())
                bundle = Bundle.installed().usable_by(account, self.temp_areas)
                data = self._ensure_data(home, account, bundle, copy_from, durable=durable)
                postmaster.clear_after_crash(data)
                return self._launch(home, data, account, bundle, port, durable=durable)

    def stop(self, data_dir: Path, mode: Literal["fast", "immediate"] = "fast") -> bool:
        """Stop the cluster of `data_dir` and say whether it ran.

        `fast` ends sessions and writes everything out; `immediate` is a crash on purpose, and after the time
        limit a kill. Raises `StopTimedOut` if `fast` takes longer than `stop_seconds`.
        """
        home = ClusterHome.at(data_dir)
        if not home.path.is_dir():
            return False
        with folder_trouble_as_sentence(home.path), home.locked(2 * self.start_seconds):
            return self._stop(home, mode)

    def status(self, data_dir: Path) -> Status:
        """Say what is in `data_dir`, without changing or waiting for anything."""
        home = ClusterHome.at(data_dir)
        with folder_trouble_as_sentence(home.path):
            data = home.data()
            if home.memory() is None:
                return Status("absent", data, home.log_file)
            found = postmaster.find(data)
            if found is None:
                return Status("stopped", data, home.log_file)
            state: Literal["starting", "running"] = "running" if self._answers(found) else "starting"
            return Status(state, data, home.log_file, found.port, found.pid)

    def erase(self, data_dir: Path) -> None:
        """Stop the cluster and remove its data, wherever it lies, and its folder; no way back."""
        home = ClusterHome.at(data_dir)
        if not home.path.is_dir():
            return
        with folder_trouble_as_sentence(home.path), home.locked(2 * self.start_seconds):
            self._stop(home, "immediate")
            data = home.data()
            if data.parent != home.path and temp_area.is_ours(data.parent):
                shutil.rmtree(data.parent)
            shutil.rmtree(home.path)

    def _ensure_data(
        self,
        home: ClusterHome,
        account: ServerAccount,
        bundle: Bundle,
        copy_from: Path | None,
        *,
        durable: bool,
    ) -> Path:
        memory = home.memory()
        data = creation.place(home, account, self.temp_areas) if memory is None else home.data()
        if data.parent != home.path and not temp_area.is_ours(data.parent):
            raise _gone(home, data)
        if not data.exists():
            if memory is not None:
                raise _gone(home, data)
            if copy_from is None:
                creation.initialise(home, data, account, bundle, durable=durable)
            else:
                template = ClusterHome.at(copy_from)
                with _template_locked(template, self.start_seconds):
                    creation.copy(template, home, data, account, bundle, durable=durable)
        elif not account.can_enter(data):
            raise FolderUnreachable(
                f"User {account.name}, who runs PostgreSQL, cannot enter {data} any more; "
                "give its parent folders back the modes that they had."
            )
        made_by = (data / "PG_VERSION").read_text(encoding="ascii").strip()
        if made_by != bundle.major:
            raise WrongVersion(
                f"The cluster in {data} was made by PostgreSQL {made_by} and version {bundle.major} is installed; "
                "dump it with the old version and load it into a new folder."
            )
        if durable and memory is not None and not memory.durable:
            creation.make_durable(data, account, bundle)
        return data

    def _launch(
        self,
        home: ClusterHome,
        data: Path,
        account: ServerAccount,
        bundle: Bundle,
        asked: int | None,
        *,
        durable: bool,
    ) -> Cluster:
        memory = home.memory()
        remembered = memory.port if memory else None
        deadline = time.monotonic() + self.start_seconds
        for _ in range(_PORT_TRIES):
            port = ports.choose(asked, remembered)
            configuration.write_settings(data, account, port=port, durable=durable)
            home.remember(Memory(port, durable))
            said_before = home.log_file.stat().st_size if home.log_file.exists() else 0
            ended_well = self._run_pg_ctl_start(home, data, account, bundle)
            running = postmaster.find(data)
            if running is not None and (cluster := self._ready(home, running, deadline)):
                return cluster
            if ended_well or ports.is_free(port):
                break
            # Somebody took the port between our look and the server's: the next round tries another one,
            # or tells the person who asked for this one.
            remembered = None
        if _log_says(home, said_before, "No space left on device"):
            raise disk_full(data)
        raise StartFailed(f"PostgreSQL ended while it was starting; read {home.log_file} for the reason.")

    def _run_pg_ctl_start(
        self, home: ClusterHome, data: Path, account: ServerAccount, bundle: Bundle
    ) -> bool:
        """Let pg_ctl start the server and wait; the server is then nobody's child and has its own session."""
        limit = max(1, round(self.start_seconds))
        # The folder goes through the environment: on the command line pg_ctl would hand it to a shell.
        command: list[str | Path] = [
            bundle.program("pg_ctl"),
            "start",
            "--silent",
            "--wait",
            "--timeout",
            str(limit),
        ]
        output = home.open_log()
        try:
            done = account.run(command, seconds=limit + 10, output=output, extra_env={"PGDATA": str(data)})
        except subprocess.TimeoutExpired:
            return False
        finally:
            os.close(output)
        return done.returncode == 0

    def _adopt(self, home: ClusterHome, port: int | None, *, durable: bool) -> Cluster | None:
        """Return the cluster if it runs as asked; None if it does not run, or was just ending and is gone."""
        running = postmaster.find(home.data())
        if running is None:
            return None
        memory = home.memory()
        if memory is not None and memory.durable != durable:
            raise ClusterBusy(
                f"The cluster in {home.path} runs with durable={memory.durable}; stop it before changing that."
            )
        cluster = self._ready(home, running, time.monotonic() + self.start_seconds)
        if cluster is not None and port not in {None, cluster.port}:
            raise ClusterBusy(
                f"The cluster in {home.path} already runs on port {cluster.port}; stop it before asking for port {port}."
            )
        return cluster

    def _ready(self, home: ClusterHome, running: Postmaster, deadline: float) -> Cluster | None:
        """Wait until the server answers, a recovery included, or ends (None); `StartTimedOut` at `deadline`."""
        data = home.data()
        found: Postmaster | None = running
        while found is not None:
            if self._answers(found):
                return Cluster(data, found.port, configuration.SUPERUSER, home.password(), found.pid)
            if time.monotonic() > deadline:
                raise StartTimedOut(
                    f"PostgreSQL (process {found.pid}) did not accept connections within {self.start_seconds:.0f} s; "
                    f'read {home.log_file}, then start again to wait on, or stop it with mode "immediate".'
                )
            time.sleep(0.05)
            found = postmaster.find(data)
        return None

    def _answers(self, found: Postmaster) -> bool:
        return found.ready and ports.server_answers(found.port, seconds=min(3.0, self.start_seconds))

    def _stop(self, home: ClusterHome, mode: Literal["fast", "immediate"]) -> bool:
        data = home.data()
        running = postmaster.find(data)
        if running is None:
            return False
        account = ServerAccount.choose(data)
        program = Bundle.installed().usable_by(account, self.temp_areas).program("pg_ctl")
        limit = max(1, round(self.stop_seconds))
        command: list[str | Path] = [
            program,
            "stop",
            "--silent",
            "--mode",
            mode,
            "--wait",
            "--timeout",
            str(limit),
        ]
        with suppress(subprocess.TimeoutExpired):
            account.run(command, seconds=limit + 10, extra_env={"PGDATA": str(data)})
        if postmaster.find(data) is None:
            return True
        if mode == "immediate":
            postmaster.kill(running.pid, data)
            return True
        raise StopTimedOut(
            f"PostgreSQL (process {running.pid}) did not stop within {self.stop_seconds:.0f} s; "
            f'read {home.log_file}, or stop it with mode "immediate", which loses no committed data.'
        )


@contextmanager
def _template_locked(template: ClusterHome, seconds: float) -> Iterator[None]:
    if not template.path.is_dir():
        raise ClusterDataMissing(
            f"There is no cluster in {template.path} to copy; start and stop one there first."
        )
    with template.locked(seconds):
        yield


def _gone(home: ClusterHome, data: Path) -> ClusterDataMissing:
    return ClusterDataMissing(
        f"The data of {home.path} should lie in {data} and is gone; restore it there, or remove {home.path} "
        "to begin with an empty database."
    )


def _log_says(home: ClusterHome, since: int, words: str) -> bool:
    with home.log_file.open("rb") as file:
        file.seek(since)
        return words.encode() in file.read()
