"""One real stack of two regions per run: every program, every process, on free ports in a folder of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from cli.supervisor.ports import choose
from server.runtime.embedded import EmbeddedPostgres
from tests.support.scheduling import once

REGIONS = ("us", "eu")


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits for a fact; fails when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


def new_folder() -> Path:
    """A temp folder that the database's own user may pass through."""
    made = Path(tempfile.mkdtemp(prefix="babysea-e2e-"))
    made.chmod(0o711)
    return made


def remove_folder(folder: Path, *stacks: Path) -> None:
    """Removes a folder and the clusters of its stacks, also where their data lies elsewhere."""
    for stack in stacks:
        for region in ("us", "eu", "jp"):
            EmbeddedPostgres().erase(stack / region / "postgres")
    shutil.rmtree(folder)


def processes_of(folder: Path) -> list[int]:
    """Processes that work in or for a folder; zombies do not count."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd", "status"]):
        facts = process.info
        text = " ".join(facts["cmdline"] or []) + " " + str(facts["cwd"])
        if facts["pid"] != os.getpid() and facts["status"] != psutil.STATUS_ZOMBIE and str(folder) in text:
            found.append(int(facts["pid"]))
    return found


@dataclass(frozen=True)
class Stack:
    """A stack as a person has it: a folder and the command."""

    data_dir: Path
    ports: dict[str, int]

    def run(self, *arguments: str, seconds: float = 110.0) -> subprocess.CompletedProcess[str]:
        """Runs `babysea` on this folder."""
        return babysea("--data-dir", str(self.data_dir), *arguments, seconds=seconds)

    def up(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Runs `babysea up --detach` with the ports of this stack."""
        ports = ",".join(f"{region}={port}" for region, port in self.ports.items())
        return self.run("up", "--detach", "--json", "--regions", ",".join(REGIONS), "--ports", ports, *more)

    def ready(self) -> dict[str, Any]:
        """The content of ready.json."""
        found: dict[str, Any] = json.loads((self.data_dir / "ready.json").read_text())
        return found

    def region(self, name: str) -> dict[str, str]:
        """One region of ready.json."""
        found: dict[str, str] = self.ready()["regions"][name]
        return found

    def processes(self) -> dict[str, int]:
        """Numbers of the programs by name, as the supervisor wrote them down."""
        known = json.loads((self.data_dir / "state.json").read_text())["processes"]
        return {name: process["pid"] for name, process in known.items()}

    def supervisor(self) -> int:
        """Number of the supervisor."""
        return int(json.loads((self.data_dir / "lock").read_text())["pid"])

    def database(self, region: str) -> int:
        """Number of a region's PostgreSQL."""
        pid = EmbeddedPostgres().status(self.data_dir / region / "postgres").pid
        assert pid is not None
        return pid

    def rest(
        self, region: str, method: str, path: str, key: str | None = None, **more: Any
    ) -> httpx.Response:
        """One request of the public API with the bootstrap key of the region, or another one."""
        place = self.region(region)
        more["headers"] = {"Authorization": f"Bearer {key or place['api_key']}"} | more.get("headers", {})
        with httpx.Client(base_url=place["api"], timeout=20, trust_env=False) as client:
            return client.request(method, path, **more)

    def start_generation(self, region: str, prompt: str) -> str:
        """POSTs a picture and returns its id; repeats what the service calls retryable, as the published SDK does."""
        body = {"generation_prompt": prompt}
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        for _ in range(3):
            answer = self.rest(
                region, "POST", "/v1/generate/image/bfl/flux-schnell", json=body, headers=headers
            )
            if answer.status_code == 200:
                return str(answer.json()["data"]["generation_id"])
            assert answer.json()["error"]["retryable"], answer.text
        raise AssertionError(answer.text)

    def record(self, region: str, generation_id: str) -> dict[str, Any]:
        """The public record of a generation."""
        answer = self.rest(region, "GET", f"/v1/content/{generation_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["data"]
        return found

    def balance(self, region: str) -> float:
        """Credits that the bootstrap account can spend."""
        return float(self.rest(region, "GET", "/v1/user/billing").json()["data"]["billing_credit_balance"])

    def answers(self) -> bool:
        """Whether every region's API answers a real question."""
        try:
            return all(self.rest(region, "GET", "/v1/status").status_code == 200 for region in REGIONS)
        except (OSError, httpx.HTTPError):
            return False

    def audit_is_clean(self) -> bool:
        """Whether the ledgers of all regions hold what they promise."""
        done = self.run("ledger", "audit", "--json")
        assert done.returncode in {0, 1}, done.stderr
        return bool(json.loads(done.stdout)["clean"])


def babysea(*arguments: str, seconds: float = 110.0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the real command in a process of its own, with the given settings and none of this shell."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BABYSEA_")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", *arguments],
        capture_output=True,
        text=True,
        env=kept | {"BABYSEA_BCRYPT_COST": "4"} | variables,
        stdin=subprocess.DEVNULL,
        timeout=seconds,
        check=False,
    )


def kill(*pids: int) -> None:
    """SIGKILL, all at once."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def session_stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The run's stack; at its end nothing of it is left."""
    once(request.config, "stack")
    folder = new_folder()
    used: set[int] = set()
    stack = Stack(folder / "stack", {region: choose(None, used) for region in REGIONS})
    try:
        started = stack.up()
        assert started.returncode == 0, started.stderr
        yield stack
    finally:
        stopped = stack.run("down")
        left = processes_of(folder)
        remove_folder(folder, stack.data_dir)
    assert stopped.returncode == 0, stopped.stderr
    assert left == []


@pytest.fixture
def stack(session_stack: Stack) -> Stack:
    """The run's stack, up and answering, whatever the test before did to it."""
    if not ((session_stack.data_dir / "ready.json").exists() and session_stack.answers()):
        started = session_stack.up()
        assert started.returncode == 0, started.stderr
    return session_stack
