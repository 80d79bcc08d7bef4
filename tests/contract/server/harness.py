"""A server with the standard chain around a service that does what a test tells it; no database behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import generation_service_pb2 as files
from babysea.generation.v1 import generation_service_pb2_grpc as files_grpc
from babysea.keys.v1 import key_service_pb2 as pb
from babysea.keys.v1 import key_service_pb2_grpc as pb_grpc
from kit.clock import FixedClock
from kit.errors import BabySeaError
from server.keys.allowlist import allows
from server.runtime.context import RpcContext
from server.runtime.identity import KeyHolder
from server.runtime.interceptors.chain import Chain
from server.runtime.interceptors.metrics import CallMetrics
from server.runtime.interceptors.standard import standard_chain
from server.runtime.rate_limit import AccountLimits, AuthFailures, ProcessWindows
from server.runtime.service_identity import Identities
from tests.support.nobody import NoMembers, NoSessions

KEY = "bye_us_known"
SERVICE = "svc_" + "s" * 40
HOLDER = KeyHolder(
    account_id=UUID(int=1),
    key_id=UUID(int=2),
    scopes=frozenset({"account:read"}),
    allowlist=(),
    plan="free",
    requests_per_minute=1000,
    restricted=False,
)


class OneKey:
    """Knows one key."""

    async def verify(self, secret: str) -> KeyHolder:
        if secret == KEY:
            return HOLDER
        raise BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED)


@dataclass
class Script(pb_grpc.KeyServiceServicer, files_grpc.FileServiceServicer):
    """Does what a test tells it."""

    behave: Callable[[], Awaitable[None]] = field(default=lambda: asyncio.sleep(0))

    async def GetCallerKey(  # noqa: N802
        self, request: pb.GetCallerKeyRequest, context: RpcContext
    ) -> pb.GetCallerKeyResponse:
        await self.behave()
        return pb.GetCallerKeyResponse()

    async def ReadFile(  # noqa: N802
        self, request: files.ReadFileRequest, context: RpcContext
    ) -> AsyncIterator[files.ReadFileResponse]:
        yield files.ReadFileResponse(chunk=b"one")
        await self.behave()
        yield files.ReadFileResponse(chunk=b"two")


@dataclass(frozen=True)
class Harness:
    """The running server, and stubs of it."""

    script: Script
    metrics: CallMetrics
    chain: Chain
    channel: grpc.aio.Channel
    keys: Any
    files: Any

    def call(self, *more: tuple[str, str], seconds: float | None = None) -> Any:
        """A call with the known key, and with a deadline where one is given."""
        metadata = (("authorization", f"Bearer {KEY}"), *more)
        return self.keys.GetCallerKey(pb.GetCallerKeyRequest(), metadata=metadata, timeout=seconds)

    def read(self) -> Any:
        """A streaming call by a service of ours."""
        request = files.ReadFileRequest(file_token="t", expires=1, signature="s", length=1)
        return self.files.ReadFile(request, metadata=(("x-babysea-service", SERVICE),))


def health_stub(channel: grpc.aio.Channel) -> Any:
    """A client of health checks."""
    return health_pb2_grpc.HealthStub(channel)


@asynccontextmanager
async def harness(wrap: Callable[[Chain], Chain] = lambda chain: chain) -> AsyncIterator[Harness]:
    """Serves on a free port."""
    script, metrics = Script(), CallMetrics()  # type: ignore[abstract]
    windows = ProcessWindows(FixedClock(datetime.now(UTC)))
    chain = wrap(
        standard_chain(
            sessions=NoSessions(),
            members=NoMembers(),
            keys=OneKey(),
            identities=Identities(service_token=SERVICE),
            allows=allows,
            limits=AccountLimits(windows, lambda plan: 60),
            failures=AuthFailures(windows, lambda address: address),
            metrics=metrics,
            address_hash=lambda address: "0123456789ab",
        )
    )
    server = grpc.aio.server(interceptors=[chain])
    pb_grpc.add_KeyServiceServicer_to_server(script, server)
    files_grpc.add_FileServiceServicer_to_server(script, server)
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    reflection.enable_server_reflection(["babysea.keys.v1.KeyService"], server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Harness(
                script,
                metrics,
                chain,
                channel,
                pb_grpc.KeyServiceStub(channel),
                files_grpc.FileServiceStub(channel),
            )
    finally:
        await server.stop(None)
