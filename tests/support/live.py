"""A real stack of one region, started with `babysea up`: its customers, its money, and what its sandbox was sent."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx

from babysea.accounts.v1 import account_service_pb2
from babysea.keys.v1 import key_service_pb2
from babysea.ledger.v1 import ledger_service_pb2
from cli.grpc_client import Operator
from cli.supervisor.ports import choose
from kit.ids import uuid7
from tests.e2e.conftest import babysea, new_folder, remove_folder

FINAL = frozenset({"succeeded", "failed", "canceled"})
_LOOK_SECONDS = 0.1
UP = ("--detach", "--json", "--regions", "us")
"""How `babysea up` is asked for one region in the background."""
_T = TypeVar("_T")


class NotInTimeError(Exception):
    """Something did not come true in time; the text says what."""


@dataclass(frozen=True)
class Customer:
    """An account with money, and a full-access key of it."""

    account_id: str
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        """What it sends with each request."""
        return {"Authorization": f"Bearer {self.secret}"}


@dataclass(frozen=True)
class Created:
    """The answer to a POST: an id, or a refusal."""

    status: int
    body: dict[str, Any]

    @property
    def generation_id(self) -> str:
        """The generation's id; empty when it was refused."""
        return str(self.body["data"]["generation_id"]) if self.status == 200 else ""


class Live:
    """The stack, as a customer, an operator and the provider see it."""

    def __init__(
        self, folder: Path, facts: dict[str, Any], database: asyncpg.Pool, http: httpx.AsyncClient
    ) -> None:
        self.folder = folder
        self.database = database
        self.http = http
        self.sandbox_url: str = facts["sandbox"]
        region = facts["regions"]["us"]
        token = (folder / "us" / "secrets" / "operator_token").read_text().strip()
        self._operator = Operator(region["grpc"], token)

    async def customer(self, micros: int) -> Customer:
        """A new account of the largest plan with so much credit."""
        account_id = str(uuid7())
        await self._call(
            Operator.accounts.create_account,
            account_service_pb2.CreateAccountRequest(
                account_id=account_id, name="proof", email="proof@example.com", plan="enterprise"
            ),
        )
        await self._call(
            Operator.ledger.grant_credit,
            ledger_service_pb2.GrantCreditRequest(
                account_id=account_id, amount_micros=micros, idempotency_key="start"
            ),
        )
        made = await self._call(
            Operator.keys.create_key,
            key_service_pb2.CreateKeyRequest(account_id=account_id, name="proof", preset="full_access"),
        )
        return Customer(account_id, made.secret)

    async def _call(self, method: Any, request: Any) -> Any:
        return await asyncio.to_thread(self._operator.call, method, request)

    async def create(self, customer: Customer, media: str, model: str, body: dict[str, Any]) -> Created:
        """A POST; repeated, under one key, when the answer says that it may be."""
        headers = customer.headers | {"Idempotency-Key": secrets.token_hex(8)}
        for _ in range(5):
            reply = await self.http.post(f"/v1/generate/{media}/{model}", json=body, headers=headers)
            answer = reply.json()
            if reply.status_code < 500 or not answer["error"]["retryable"]:
                break
            await asyncio.sleep(0.5)
        return Created(reply.status_code, answer)

    async def record(self, customer: Customer, generation_id: str) -> dict[str, Any]:
        """What the customer sees of a generation."""
        reply = await self.http.get(f"/v1/content/{generation_id}", headers=customer.headers)
        reply.raise_for_status()
        found: dict[str, Any] = reply.json()["data"]
        return found

    async def ended(self, customer: Customer, generation_id: str, seconds: float = 90.0) -> dict[str, Any]:
        """The customer's record once it is final."""

        async def final() -> dict[str, Any] | None:
            record = await self.record(customer, generation_id)
            return record if record["generation_status"] in FINAL else None

        return await until(final, "the generation to end", seconds)

    async def cancel(self, customer: Customer, generation_id: str) -> httpx.Response:
        """The customer's cancel."""
        return await self.http.post(
            f"/v1/content/generation/cancel/{generation_id}", headers=customer.headers
        )

    async def knobs(self, provider: str, **wanted: Any) -> None:
        """Changes how the sandbox's provider behaves."""
        reply = await self.http.put(f"{self.sandbox_url}/_sandbox/knobs/{provider}", json=wanted)
        assert reply.status_code == 200, reply.text

    async def log(self, since: int = 0) -> tuple[list[dict[str, Any]], int]:
        """What was submitted to the sandbox since, and the number of the last entry."""
        reply = await self.http.get(f"{self.sandbox_url}/_sandbox/log", params={"since": since})
        answer = reply.json()
        return answer["entries"], int(answer["last"])

    async def rows(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Rows of the region's database, as its owner."""
        return list(await self.database.fetch(statement, *values))

    async def audit(self) -> list[str]:
        """The invariants of the ledger that do not hold."""
        return [str(row["invariant"]) for row in await self.rows("select invariant from ledger.audit()")]


@asynccontextmanager
async def started(*arguments: str, **environment: str) -> AsyncIterator[Path]:
    """The folder of a stack on free ports, or of the one that BABYSEA_PROOF_STACK names; the own one is gone at the end."""
    running = os.environ.get("BABYSEA_PROOF_STACK")
    if running:
        yield Path(running)
        return
    folder = new_folder()
    stack = folder / "stack"
    try:
        port = choose(None, set())
        await command(stack, "up", *UP, "--ports", f"us={port}", *arguments, **environment)
        yield stack
    finally:
        await asyncio.to_thread(lambda: babysea("--data-dir", str(stack), "down"))
        remove_folder(folder, stack)


@asynccontextmanager
async def live_stack(*arguments: str, **environment: str) -> AsyncIterator[Live]:
    """The same, opened."""
    async with started(*arguments, **environment) as stack, opened(stack) as live:
        yield live


async def command(stack: Path, *arguments: str, **environment: str) -> None:
    """Runs `babysea` on a stack's folder.

    Raises:
        NotInTimeError: it failed.
    """
    done = await asyncio.to_thread(
        lambda: babysea("--data-dir", str(stack), *arguments, seconds=110.0, **environment)
    )
    if done.returncode != 0:
        raise NotInTimeError(f"babysea {arguments[0]} failed: {done.stderr.strip()}")


@asynccontextmanager
async def opened(stack: Path) -> AsyncIterator[Live]:
    """The stack that runs in a folder, its sandbox reset."""
    facts = json.loads((stack / "ready.json").read_text())
    region = facts["regions"]["us"]
    async with (
        asyncpg.create_pool(region["database_url"], min_size=1, max_size=8) as database,
        httpx.AsyncClient(base_url=region["api"], timeout=60, trust_env=False) as http,
    ):
        await http.post(f"{facts['sandbox']}/_sandbox/reset")
        yield Live(stack, facts, database, http)


async def until(look: Callable[[], Awaitable[_T | None]], what: str, seconds: float = 60.0) -> _T:
    """The first value that is something, of looking again and again.

    Raises:
        NotInTimeError: there was none in so many seconds.
    """
    end = time.monotonic() + seconds
    while True:
        found = await look()
        if found:
            return found
        if time.monotonic() > end:
            raise NotInTimeError(f"waited {seconds:.0f} s for {what}")
        await asyncio.sleep(_LOOK_SECONDS)
