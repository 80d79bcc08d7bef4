"""The typed client: every method of the contract, the region's own words, deadlines that travel, careful retries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status

from babysea.accounts.v1 import account_service_pb2 as accounts
from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import generation_service_pb2 as generation
from babysea.keys.v1 import key_service_pb2 as keys
from babysea.ledger.v1 import ledger_service_pb2 as ledger
from babysea.routing.v1 import routing_service_pb2 as routing
from babysea_sdk import (
    BlockingClient,
    Identity,
    InternalClient,
    NoAnswerError,
    RefusedError,
    services,
    time_limit,
)
from babysea_sdk.deadlines import MARGIN_SECONDS
from babysea_sdk.methods import Service, Stream, methods_of
from kit.errors import BabySeaError
from kit.rpc import status_of

BALANCE = ledger.GetBalanceRequest(account_id="a")
CREATE = generation.CreateGenerationRequest(request_id="r")


@dataclass
class Server(grpc.GenericRpcHandler):
    """Answers every method with an empty message, after what a test wants done first."""

    behave: Callable[[str, Any], Awaitable[None]] | None = None
    seen: list[str] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    seconds: list[float | None] = field(default_factory=list)
    address: str = ""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """A handler for any method of ours."""
        if not details.method.startswith("/babysea."):
            return None

        async def answer(_request: bytes, context: Any) -> bytes:
            name = details.method.rpartition("/")[2]
            self.seen.append(name)
            self.metadata.append(dict(context.invocation_metadata()))
            self.seconds.append(context.time_remaining())
            if self.behave is not None:
                await self.behave(name, context)
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@asynccontextmanager
async def _serving(behave: Callable[[str, Any], Awaitable[None]] | None = None) -> AsyncIterator[Server]:
    handler = Server(behave)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    handler.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield handler
    finally:
        await server.stop(None)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server that answers at once."""
    async with _serving() as serving:
        yield serving


_PAIRS: list[tuple[type[Service], str, Any]] = [
    (services.LedgerClient, "LedgerService", ledger),
    (services.KeysClient, "KeyService", keys),
    (services.GenerationsClient, "GenerationService", generation),
    (services.FilesClient, "FileService", generation),
    (services.AccountsClient, "AccountService", accounts),
    (services.RoutingClient, "RoutingService", routing),
]


@pytest.mark.parametrize(("client", "name", "module"), _PAIRS)
def test_every_method_of_the_contract_has_one_with_its_types(
    client: type[Service], name: str, module: Any
) -> None:
    contract = module.DESCRIPTOR.services_by_name[name]
    methods = methods_of(client)
    assert set(methods) == {f"/{contract.full_name}/{method.name}" for method in contract.methods}
    for method in methods.values():
        told = method.descriptor
        assert isinstance(method, Stream) is told.server_streaming
        assert method.parse(b"").DESCRIPTOR is told.output_type
        assert method.serialize(getattr(module, told.input_type.name)()) == b""


async def test_a_call_carries_the_identity_and_gives_the_typed_answer(server: Server) -> None:
    identity = Identity(bearer="op_x", service_token="svc_y")
    async with InternalClient(server.address, identity=identity) as client:
        assert await client.ledger.get_balance(BALANCE) == ledger.GetBalanceResponse()
        await client.on_behalf_of("bye_us_k", "192.0.2.7").keys.get_caller_key(keys.GetCallerKeyRequest())
    assert server.seen == ["GetBalance", "GetCallerKey"]
    first, second = server.metadata
    assert (first["authorization"], first["x-babysea-service"]) == ("Bearer op_x", "svc_y")
    assert second["authorization"] == "Bearer bye_us_k"
    assert second["x-babysea-client-address"] == "192.0.2.7"
    assert "x-babysea-client-address" not in first


async def test_a_refusal_speaks_with_the_regions_own_words() -> None:
    async def refuse(_name: str, context: Any) -> None:
        error = BabySeaError(
            error_reason_pb2.ERROR_REASON_INSUFFICIENT_CREDITS, "Too little.", details={"needed": "3"}
        )
        await context.abort_with_status(rpc_status.to_status(status_of(error)))

    async with _serving(refuse) as server, InternalClient(server.address) as client:
        with pytest.raises(RefusedError) as raised:
            await client.ledger.get_balance(BALANCE)
        blocking = BlockingClient(server.address)
        with pytest.raises(RefusedError) as second:
            await asyncio.to_thread(blocking.call, blocking.ledger.get_balance, BALANCE)
        blocking.close()
    for error in (raised.value, second.value):
        assert error.reason == error_reason_pb2.ERROR_REASON_INSUFFICIENT_CREDITS
        assert (error.name, error.message, error.details) == (
            "INSUFFICIENT_CREDITS",
            "Too little.",
            {"needed": "3"},
        )
        assert error.stated
        assert not error.retryable


async def test_a_deadline_travels_less_a_margin(server: Server) -> None:
    async with InternalClient(server.address) as client:
        await client.ledger.get_balance(BALANCE)
        with time_limit(3.0):
            await client.ledger.get_balance(BALANCE)
            with time_limit(60.0):
                await client.ledger.get_balance(BALANCE)
            await client.ledger.get_balance(BALANCE, seconds=1.0)
    alone, within, nested, own = server.seconds
    assert alone is not None
    assert 3.0 < alone <= 5.1, "the method's own, from its service config"
    for left in (within, nested):
        assert left is not None
        assert left <= 3.0 - MARGIN_SECONDS / 2
    assert own is not None
    assert own <= 1.1


async def test_a_call_without_time_left_is_not_sent(server: Server) -> None:
    async with InternalClient(server.address) as client:
        with time_limit(MARGIN_SECONDS / 2), pytest.raises(NoAnswerError, match="DEADLINE_EXCEEDED"):
            await client.ledger.get_balance(BALANCE)
    assert server.seen == []


async def test_only_what_may_happen_twice_is_repeated() -> None:
    async def away(_name: str, context: Any) -> None:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "")

    async with _serving(away) as server, InternalClient(server.address) as client:
        with pytest.raises(NoAnswerError):
            await client.ledger.get_balance(BALANCE)
        with pytest.raises(NoAnswerError):
            await client.generations.create_generation(CREATE)
        with pytest.raises(NoAnswerError):
            await client.keys.create_key(keys.CreateKeyRequest())
    assert server.seen == ["GetBalance"] * 3 + ["CreateGeneration", "CreateKey"]


async def test_two_processes_of_a_region_take_turns(server: Server) -> None:
    async with _serving() as other, InternalClient(f"{server.address};{other.address}") as client:
        async with asyncio.timeout(10):
            while not (server.seen and other.seen):
                await client.ledger.get_balance(BALANCE)
        server.seen.clear()
        other.seen.clear()
        for _ in range(20):
            await client.ledger.get_balance(BALANCE)
        assert (len(server.seen), len(other.seen)) == (10, 10)


async def test_nobody_there_is_no_answer() -> None:
    async with InternalClient("127.0.0.1:1") as client:
        with pytest.raises(NoAnswerError) as raised:
            await client.keys.create_key(keys.CreateKeyRequest())
    assert raised.value.retryable
    assert not raised.value.stated
