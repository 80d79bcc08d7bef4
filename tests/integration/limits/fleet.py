"""Real processes of one region: two servers on one database and one Valkey, and four gateways before them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from cli.supervisor.ports import choose
from cli.supervisor.readiness import answers, serving
from server.runtime.service_identity import make_token
from tests.support.postgres import TestDatabase
from tests.support.region import settings_for
from tests.support.valkey import RunningValkey

SERVERS, GATEWAYS = 2, 4
_START_SECONDS = 90.0
_SECRET = (
    "database_url",
    "admitter_database_url",
    "worker_database_url",
    "vault_database_url",
    "logs_database_url",
    "master_key",
)


@dataclass
class Fleet:
    """What runs, and how to reach it."""

    folder: Path
    valkey: RunningValkey
    running: ExitStack = field(default_factory=ExitStack)
    urls: list[str] = field(default_factory=list)
    """Base URLs of the gateways."""
    logs: list[Path] = field(default_factory=list)
    """Logs of the servers."""

    def start(self, database: TestDatabase) -> None:
        """Starts every process and waits until all answer; a Valkey must run already."""
        token = self.folder / "service.token"
        make_token(token, "svc_")
        used: set[int] = {self.valkey.port}
        targets = [f"127.0.0.1:{choose(None, used)}" for _ in range(SERVERS)]
        settings = settings_for(database)
        common = {
            **{f"BABYSEA_{name.upper()}": getattr(settings, name).get_secret_value() for name in _SECRET},
            "BABYSEA_VALKEY_URL": self.valkey.url,
            # A machine that runs several tests at once may stall for longer than a request would wait.
            "BABYSEA_VALKEY_BUDGET_SECONDS": "0.5",
            "BABYSEA_SERVICE_TOKEN_FILE": str(token),
            "BABYSEA_DATA_DIR": str(self.folder),
            "BABYSEA_BCRYPT_COST": "4",
        }
        for number, target in enumerate(targets):
            self.logs.append(self._run("server", number, {**common, "BABYSEA_GRPC_LISTEN": target}))
        self._wait(targets, serving)
        for number in range(GATEWAYS):
            address = f"127.0.0.1:{choose(None, used)}"
            self.urls.append(f"http://{address}")
            told = {
                "BABYSEA_GATEWAY_LISTEN": f"us={address}",
                "BABYSEA_GATEWAY_UPSTREAMS": f"us={';'.join(targets)}",
                "BABYSEA_GATEWAY_SERVICE_TOKENS": f"us={token}",
                # The client's address is what a test says it is.
                "BABYSEA_TRUSTED_HOPS": "1",
            }
            self._run("gateway", number, told)
        self._wait(self.urls, lambda url: answers(url, "/readyz"))

    def client(self, key: str, address: str = "198.51.100.1") -> httpx.AsyncClient:
        """A customer's client, at an address."""
        headers = {"authorization": f"Bearer {key}", "x-forwarded-for": address}
        return httpx.AsyncClient(headers=headers, trust_env=False, timeout=30)

    def said(self, sentence: str) -> list[int]:
        """How often each server logged a sentence."""
        return [log.read_text().count(sentence) for log in self.logs]

    def close(self) -> None:
        """Ends every process."""
        self.running.close()

    def _run(self, what: str, number: int, told: dict[str, str]) -> Path:
        log = self.folder / f"{what}-{number}.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BABYSEA_")}
        file = self.running.enter_context(log.open("ab"))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli.main", what],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**environment, **told},
        )
        self.running.callback(process.wait)
        self.running.callback(process.kill)
        return log

    def _wait(self, targets: list[str], is_up: object) -> None:
        assert callable(is_up)
        deadline = time.monotonic() + _START_SECONDS
        for target in targets:
            while not is_up(target):
                if time.monotonic() > deadline:
                    raise TimeoutError("\n".join(log.read_text() for log in self.folder.glob("*.log")))
                time.sleep(0.1)
