"""The stack on which crashes are played: orders to its fault points, customers, and what the sandbox was sent."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from babysea.accounts.v1 import account_service_pb2
from babysea.keys.v1 import key_service_pb2
from babysea.ledger.v1 import ledger_service_pb2
from cli.grpc_client import Operator
from kit.ids import uuid7
from server.runtime.fault_points import FOLDER, Point
from tests.faults.matrix import Victim
from tests.support.deployment import Deployment

CREDIT = 1_000_000
_PATIENCE = 90.0
_REPEATS, _PAUSE = 20, 0.5
_LAST_ACTS = 2.0
"""Time for whatever a worker without a lease still does; the judgement then looks at all of it."""
_TWO_WORKERS = "select 1 from runtime.worker where expires_at > clock_timestamp() having count(*) = 2"


class CellError(Exception):
    """A crash could not be played, or did not heal; the text says what was waited for."""


@dataclass(frozen=True)
class Customer:
    """An account with money, and a key of it."""

    account_id: str
    key_id: str
    secret: str


@dataclass(frozen=True)
class Death:
    """A process that was killed at a point, and when (by the monotonic clock)."""

    program: str
    pid: int
    at: float


class Stage:
    """A region of one server and one worker whose fault points are awake."""

    def __init__(self, deployment: Deployment, database: asyncpg.Pool, rest: httpx.AsyncClient) -> None:
        self.deployment = deployment
        self.database = database
        self.rest = rest
        self.operator = Operator(deployment.region["grpc"], deployment.operator_token())
        self._sandbox: str = deployment.ready()["sandbox"]
        self._orders = deployment.data_dir / FOLDER
        self._orders.mkdir(exist_ok=True)

    async def customer(self) -> Customer:
        """A new account, credit of one dollar, and a full-access key."""
        account_id = str(uuid7())
        accounts, keys, ledger = Operator.accounts, Operator.keys, Operator.ledger
        await self.asked(
            accounts.create_account,
            account_service_pb2.CreateAccountRequest(
                account_id=account_id, name="crash", email="crash@example.com", plan="enterprise"
            ),
        )
        await self.asked(
            ledger.grant_credit,
            ledger_service_pb2.GrantCreditRequest(
                account_id=account_id, amount_micros=CREDIT, idempotency_key="start"
            ),
        )
        made = await self.asked(
            keys.create_key,
            key_service_pb2.CreateKeyRequest(account_id=account_id, name="crash", preset="full_access"),
        )
        return Customer(account_id, made.key.key_id, made.secret)

    async def request(self, method: str, path: str, headers: dict[str, str], **more: Any) -> httpx.Response:
        """One request of a good client: repeated when, and only when, the answer says that it may be."""
        for _ in range(_REPEATS):
            reply = await self.rest.request(method, path, headers=headers, **more)
            if reply.status_code < 500 or not reply.json()["error"]["retryable"]:
                return reply
            await asyncio.sleep(_PAUSE)
        return reply

    async def asked(self, method: Any, request: Any) -> Any:
        """One call as an operator; CliError as the command would show it."""
        return await asyncio.to_thread(self.operator.call, method, request)

    def order(self, point: Point, word: str, at: int = 1) -> None:
        """Tells the next process that comes to a point what to do there."""
        draft = self._orders / "draft"
        draft.write_text(f"{word} {at}")
        draft.rename(self._orders / point.label)

    def withdraw(self) -> None:
        """Takes back every order; whoever still stands still, because a crash went wrong, goes on."""
        for left in self._orders.iterdir():
            if ".taken." in left.name:
                with suppress(ProcessLookupError):
                    os.kill(int(left.name.rpartition(".")[2]), signal.SIGCONT)
            left.unlink()

    async def taken(self, point: Point) -> int:
        """Waits until a process obeys an order; its number."""

        def found() -> Path | None:
            return next(self._orders.glob(f"{point.label}.taken.*"), None)

        path = await until(found, f"the order at {point.label} to be obeyed")
        return int(path.name.rpartition(".")[2])

    async def killed_at(self, point: Point, victim: Victim) -> Death:
        """Waits until a process is at a point where it was ordered to end or to halt, and sees `victim` die there."""
        here, program = await self.taken(point), f"us {victim}"
        pid = self.deployment.pid(program)
        if point.process == victim:
            if here != pid:
                raise CellError(f"{point.label} was passed by process {here}, not by the {victim} ({pid})")
            await until(lambda: not _runs(pid), "the process at the point to die")
            return Death(program, pid, time.monotonic())
        await until(lambda: _is_stopped(here), "the process at the point to halt")
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not _runs(pid), "the other process to die")
        died = time.monotonic()
        os.kill(here, signal.SIGCONT)
        return Death(program, pid, died)

    async def stalled_at(self, point: Point) -> Death:
        """Waits until a process stands still at a point."""
        here = await self.taken(point)
        await until(lambda: _is_stopped(here), "the process at the point to halt")
        return Death("", here, time.monotonic())

    async def awake(self, stalled: Death) -> None:
        """Lets it go on, and waits until it found out that it had lost its lease and has done what it could do."""
        os.kill(stalled.pid, signal.SIGCONT)
        await until(lambda: self.row(_TWO_WORKERS), "the worker to take a new lease")
        await asyncio.sleep(_LAST_ACTS)

    async def restarted(self, death: Death) -> None:
        """Waits until the supervisor runs the program again, and the region answers."""
        await until(
            lambda: (
                (new := self.deployment.pids().get(death.program)) not in {None, death.pid}
                and _runs(new or 0)
            ),
            f"{death.program} to be started again",
        )
        await self.answering()

    async def answering(self) -> None:
        """Waits until the region answers customers."""

        async def answers() -> bool:
            with suppress(httpx.HTTPError):
                return (await self.rest.get("/readyz")).status_code == 200
            return False

        await until(answers, "the region to answer")

    async def log_position(self) -> int:
        """Where the sandbox's request log ends now."""
        return int((await self.rest.get(f"{self._sandbox}/_sandbox/log")).json()["last"])

    async def log_since(self, position: int) -> list[dict[str, Any]]:
        """What was submitted to the sandbox since."""
        reply = await self.rest.get(f"{self._sandbox}/_sandbox/log", params={"since": position})
        found: list[dict[str, Any]] = reply.json()["entries"]
        return found

    async def row(self, statement: str, *values: object) -> asyncpg.Record | None:
        """One row of the region's database, as its owner."""
        return await self.database.fetchrow(statement, *values)

    async def rows(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Rows of the region's database, as its owner."""
        return list(await self.database.fetch(statement, *values))

    def files(self, account_id: str, generation_id: str) -> list[Path]:
        """The stored files of a generation, recorded or not."""
        folder = self.deployment.data_dir / "us" / "storage" / "outputs" / account_id / generation_id
        return [path for path in folder.glob("*") if path.is_file()]


async def until(condition: Callable[[], Any], what: str, seconds: float = _PATIENCE) -> Any:
    """Waits until a condition (plain or awaitable) is true; its value.

    Raises:
        CellError: it did not become true in time.
    """
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > end:
            raise CellError(f"waited {seconds:.0f} s for {what}")
        await asyncio.sleep(0.02)


def _runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _is_stopped(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    raise CellError("the process at the point died and was only to halt")
