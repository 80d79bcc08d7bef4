"""A whole region in the test's process: sandbox, regional server and executor, all real, on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import grpc
import httpx
import uvicorn
from pydantic import SecretStr

from babysea.generation.v1 import generation_pb2, generation_service_pb2, generation_service_pb2_grpc
from kit.ids import uuid7
from sandbox.app import create_app
from sandbox.config import KEEP_ALIVE_SECONDS, SandboxConfig
from server.generation.execution.executor import Executor
from server.keys.creation import create_key
from server.runtime.lifecycle import RunningServer, serve
from server.runtime.service_identity import make_token
from server.worker import open_executor
from tests.support.postgres import TestDatabase
from tests.support.region import TestRegion, open_region, settings_for

pb = generation_service_pb2
TERMINAL = {generation_pb2.STATE_SUCCEEDED, generation_pb2.STATE_FAILED, generation_pb2.STATE_CANCELED}


@contextmanager
def running_sandbox() -> Iterator[str]:
    """A quick sandbox on a free port; its base URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = SandboxConfig(image_latency_ms=(50, 150), video_latency_ms=(150, 300))
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config),
            access_log=False,
            log_level="warning",
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@dataclass
class Stack:
    """A running region."""

    region: TestRegion
    server: RunningServer
    channel: grpc.aio.Channel
    sandbox: httpx.AsyncClient
    service_token: str
    operator_token: str
    executor: Executor
    executing: asyncio.Task[None] | None = None
    secrets: dict[UUID, str] = field(default_factory=dict)

    @property
    def generations(self) -> generation_service_pb2_grpc.GenerationServiceAsyncStub:
        """The generation service."""
        return generation_service_pb2_grpc.GenerationServiceStub(self.channel)

    async def customer(
        self, *, credit: int = 100_000_000, in_flight: int = 1000, plan: str = "enterprise"
    ) -> Customer:
        """An account with money and a full-access key."""
        account_id = await self.region.new_account(credit=credit, in_flight=in_flight, plan=plan)
        shared = self.server.shared
        _, secret = await create_key(
            shared.databases.app,
            shared.hasher,
            shared.clock,
            "us",
            account_id=account_id,
            name="test",
            preset="full_access",
            scopes=[],
            allowlist=[],
            expires_at=None,
        )
        return Customer(self, account_id, secret)

    async def log(self) -> list[dict[str, object]]:
        """What was submitted to the sandbox."""
        entries: list[dict[str, object]] = (await self.sandbox.get("/_sandbox/log")).json()["entries"]
        return entries


@dataclass
class Customer:
    """A customer's program."""

    stack: Stack
    account_id: UUID
    secret: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What it sends with each call."""
        return (("authorization", f"Bearer {self.secret}"),)

    def request(self, **changes: object) -> pb.CreateGenerationRequest:
        """A small image request."""
        values: dict[str, object] = {
            "request_id": str(uuid7()),
            "model_identifier": "bfl/flux-schnell",
            "media": generation_pb2.MEDIA_IMAGE,
            "prompt": "a lighthouse at dusk",
        }
        return pb.CreateGenerationRequest(**{**values, **changes})  # type: ignore[arg-type]

    async def create(self, **changes: object) -> pb.CreateGenerationResponse:
        """Creates a generation."""
        return await self.stack.generations.CreateGeneration(self.request(**changes), metadata=self.metadata)

    async def get(self, generation_id: str) -> pb.GetGenerationResponse:
        """Reads a generation."""
        request = pb.GetGenerationRequest(generation_id=generation_id)
        return await self.stack.generations.GetGeneration(request, metadata=self.metadata)

    async def finished(self, generation_id: str, seconds: float = 60) -> pb.GetGenerationResponse:
        """Reads a generation once it has ended."""
        async with asyncio.timeout(seconds):
            while True:
                record = await self.get(generation_id)
                if record.generation.state in TERMINAL:
                    return record
                await asyncio.sleep(0.05)

    async def balance(self) -> tuple[int, int]:
        """Posted and held micro-dollars."""
        connection = await self.stack.region.connect()
        try:
            row = await connection.fetchrow(
                "select posted, held from ledger.account where id = $1", self.account_id
            )
            assert row is not None
            return row["posted"], row["held"]
        finally:
            await connection.close()


@asynccontextmanager
async def running_stack(
    database: TestDatabase, sandbox_url: str, folder: Path, **changes: object
) -> AsyncIterator[Stack]:
    """A region with its executor, on changed settings if need be; stopped at the end."""
    service_token = make_token(folder / "service.token", "svc_")
    operator_token = make_token(folder / "operator.token", "op_")
    usual: dict[str, object] = {
        "data_dir": folder,
        "service_token_file": folder / "service.token",
        "operator_token_file": folder / "operator.token",
        "replicate_base_url": f"{sandbox_url}/replicate",
        "replicate_token": SecretStr("r8_test"),
        "fal_base_url": f"{sandbox_url}/fal",
        "fal_key": SecretStr("test:key"),
        "lease_seconds": 3.0,
        "grpc_listen": "127.0.0.1:0",
    }
    settings = settings_for(database, **{**usual, **changes})
    region = open_region(database)
    async with (
        serve(settings) as server,
        open_executor(server.shared) as executor,
        grpc.aio.insecure_channel(server.address) as channel,
        httpx.AsyncClient(base_url=sandbox_url, timeout=10) as sandbox,
    ):
        await sandbox.post("/_sandbox/reset")
        stack = Stack(region, server, channel, sandbox, service_token, operator_token, executor)
        stack.executing = asyncio.create_task(executor.run())
        try:
            yield stack
        finally:
            executor.stop()
            with suppress(asyncio.CancelledError):
                await stack.executing
            await region.close()
