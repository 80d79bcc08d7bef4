"""The client side of these tests: who calls, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import grpc

from babysea.accounts.v1.account_service_pb2_grpc import AccountServiceStub
from babysea.keys.v1 import key_service_pb2 as pb
from babysea.keys.v1.key_service_pb2_grpc import KeyServiceStub
from babysea.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from kit.errors import BabySeaError
from kit.rpc import SERVICE_TOKEN, error_of
from kit.settings import Settings
from server.runtime.lifecycle import RunningServer
from server.runtime.service_identity import read_token
from tests.support.region import TestRegion

Metadata = tuple[tuple[str, str], ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Refusal:
    """A refused call: its error as a client reads it, its code, and what trailed it."""

    error: BabySeaError
    code: grpc.StatusCode
    trailing: dict[str, str | bytes]

    @property
    def reason(self) -> str:
        """Name of the reason."""
        return self.error.spec.name


@dataclass(frozen=True)
class Live:
    """A client of a running server."""

    server: RunningServer
    region: TestRegion
    keys: Any
    accounts: Any
    ledger: Any
    operator: Metadata
    service: Metadata

    @classmethod
    @asynccontextmanager
    async def open(cls, server: RunningServer, region: TestRegion, settings: Settings) -> AsyncIterator[Live]:
        """Connects to the server."""
        assert settings.operator_token_file is not None
        assert settings.service_token_file is not None
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield cls(
                server,
                region,
                KeyServiceStub(channel),
                AccountServiceStub(channel),
                LedgerServiceStub(channel),
                bearer(read_token(settings.operator_token_file)),
                ((SERVICE_TOKEN, read_token(settings.service_token_file)),),
            )

    async def new_key(
        self, account_id: UUID, *, preset: str = "full_access", **fields: Any
    ) -> pb.CreateKeyResponse:
        """A key of an account, made by an operator."""
        request = pb.CreateKeyRequest(
            account_id=str(account_id),
            name=fields.pop("name", "test"),
            preset="" if "scopes" in fields else preset,
            **fields,
        )
        response: pb.CreateKeyResponse = await self.keys.CreateKey(request, metadata=self.operator)
        return response

    async def who(self, secret: str, *more: tuple[str, str]) -> pb.GetCallerKeyResponse:
        """What the server says about the key of the call."""
        metadata = (*bearer(secret), *more)
        response: pb.GetCallerKeyResponse = await self.keys.GetCallerKey(
            pb.GetCallerKeyRequest(), metadata=metadata
        )
        return response


def bearer(credential: str) -> Metadata:
    """Metadata that presents a key or an operator token."""
    return (("authorization", f"Bearer {credential}"),)


async def refusal(call: Awaitable[object] | Callable[[], Awaitable[object]]) -> Refusal:
    """The refusal of a call that must be refused."""
    try:
        await (call() if callable(call) else call)
    except grpc.aio.AioRpcError as failed:
        trailing = dict(failed.trailing_metadata() or ())
        return Refusal(error_of(failed), failed.code(), trailing)
    raise AssertionError("the call was not refused")


async def trailing_of(call: Any) -> dict[str, str]:
    """What trailed the answer of a call."""
    await call
    return dict(await call.trailing_metadata())
