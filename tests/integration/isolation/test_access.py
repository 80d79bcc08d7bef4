"""Who may call what: every method by every identity, against the access rule in the contract."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from babysea.options.v1.options_pb2 import CUSTOMER, INTERNAL, OPERATOR, PUBLIC, USER
from kit.ids import uuid7
from kit.rpc import CLIENT_ADDRESS, SERVICE_TOKEN
from server.keys.creation import create_key
from server.keys.scopes import SCOPES
from server.keys.secrets import new_key
from tests.integration.isolation.calls import Metadata, Rpc, bearer, rpc, rpcs, service
from tests.support.stack import Customer, Stack

REFUSALS = {
    "AUTHENTICATION_REQUIRED",
    "AUTHENTICATION_FAILED",
    "AUTH_RATE_LIMITED",
    "INSUFFICIENT_PERMISSIONS",
    "IP_NOT_ALLOWED",
}
NEVER_A_CUSTOMERS = {
    "/babysea.accounts.v1.AccountService/CreateAccount",
    "/babysea.keys.v1.KeyService/CreateKey",
    "/babysea.keys.v1.KeyService/ListKeys",
    "/babysea.keys.v1.KeyService/RevokeKey",
    "/babysea.keys.v1.KeyService/RotateKey",
    "/babysea.keys.v1.KeyService/DeleteKey",
    "/babysea.keys.v1.KeyService/ExplainAccess",
    "/babysea.keys.v1.KeyService/AuthenticateKey",
    "/babysea.ledger.v1.LedgerService/Reserve",
    "/babysea.ledger.v1.LedgerService/Capture",
    "/babysea.ledger.v1.LedgerService/Release",
    "/babysea.ledger.v1.LedgerService/GrantCredit",
    "/babysea.ledger.v1.LedgerService/GetBalance",
    "/babysea.ledger.v1.LedgerService/ListEntries",
    "/babysea.ledger.v1.LedgerService/AuditLedger",
    "/babysea.generation.v1.FileService/ReadFile",
    "/babysea.generation.v1.CallbackService/ReceiveCallback",
}
"""No key makes or widens a key, moves money, reads the ledger or reads a file without its signed URL."""


def expected(method: Rpc, who: str) -> str:
    """The refusal that the contract asks for; "" where the call must come through."""
    audiences = method.audiences
    if PUBLIC in audiences:
        return ""
    if who == "garbage":
        return "AUTHENTICATION_FAILED"
    mine = {"customer": CUSTOMER, "service": INTERNAL, "operator": OPERATOR}.get(who)
    if mine in audiences:
        return ""
    if who == "nobody" or CUSTOMER in audiences:
        return "AUTHENTICATION_REQUIRED"
    return "INSUFFICIENT_PERMISSIONS"


@pytest.mark.parametrize("who", ["nobody", "garbage", "customer", "service", "operator"])
async def test_every_method_is_open_to_its_audiences_and_to_nobody_else(
    stack: Stack, customer: Customer, who: str
) -> None:
    identities: dict[str, Metadata] = {
        "nobody": (),
        "garbage": bearer("garbage"),
        "customer": customer.metadata,
        "service": service(stack),
        "operator": bearer(stack.operator_token),
    }
    methods = list(rpcs(stack))
    assert len(methods) >= 20
    found, wanted = {}, {}
    for method in methods:
        status = await method.call(stack, identities[who])
        # There are more methods than failures that one address is allowed in a minute.
        limited = who == "garbage" and status.reason == "AUTH_RATE_LIMITED"
        reason = "AUTHENTICATION_FAILED" if limited else status.reason
        found[method.path] = reason if reason in REFUSALS else ""
        wanted[method.path] = expected(method, who)
        assert status.reason != "INTERNAL_ERROR", method.path
    assert found == wanted
    if who == "customer":
        assert {path for path, refused in found.items() if refused} >= NEVER_A_CUSTOMERS


async def test_every_method_has_an_audience_and_every_customers_one_a_known_scope(stack: Stack) -> None:
    for method in rpcs(stack):
        assert method.audiences, method.path
        assert (CUSTOMER in method.audiences) == bool(method.scope), method.path
        assert method.scope in {"", *SCOPES}, method.path
    assert {m.path for m in rpcs(stack) if CUSTOMER not in m.audiences} >= NEVER_A_CUSTOMERS


async def test_no_identity_reaches_a_method_for_members_alone(stack: Stack, customer: Customer) -> None:
    everything = (*customer.metadata, *service(stack))
    for method in rpcs(stack):
        if USER in method.audiences and not {INTERNAL, OPERATOR} & method.audiences:
            for metadata in ((), customer.metadata, service(stack), bearer(stack.operator_token), everything):
                assert (await method.call(stack, metadata)).reason in REFUSALS, method.path
        if USER in method.audiences:
            assert (await method.call(stack, customer.metadata)).reason == "INSUFFICIENT_PERMISSIONS", (
                method.path
            )


async def test_a_key_lacking_one_scope_is_refused_by_exactly_the_methods_that_need_it(
    stack: Stack, customer: Customer
) -> None:
    for missing in SCOPES:
        scopes = [scope for scope in SCOPES if scope != missing]
        metadata = bearer(await _key(stack, customer, scopes=scopes))
        for method in rpcs(stack):
            if CUSTOMER not in method.audiences:
                continue
            status = await method.call(stack, metadata)
            assert (status.reason == "INSUFFICIENT_PERMISSIONS") == (method.scope == missing), method.path
            if method.scope == missing:
                assert status.info == (("scope", missing),)


async def test_a_customer_cannot_lend_the_gateways_words_to_a_call(stack: Stack, customer: Customer) -> None:
    walled = await _key(stack, customer, allowlist=["192.0.2.0/24"])
    told = (CLIENT_ADDRESS, "192.0.2.7")
    method = rpc("keys.v1.KeyService/GetCallerKey")
    attempts: list[Metadata] = [
        (),
        (told,),
        (told, (SERVICE_TOKEN, "")),
        (told, (SERVICE_TOKEN, "svc_" + "0" * 43)),
        (told, (SERVICE_TOKEN, stack.service_token[:-1])),
        (told, (SERVICE_TOKEN, stack.operator_token)),
        (told, (SERVICE_TOKEN, customer.secret)),
        (("x-forwarded-for", "192.0.2.7"), ("x-real-ip", "192.0.2.7"), ("forwarded", "for=192.0.2.7")),
    ]
    for more in attempts:
        status = await method.call(stack, (*bearer(walled), *more))
        assert status.reason == "IP_NOT_ALLOWED", more
    assert (await method.call(stack, (*bearer(walled), told, *service(stack)))).reason == ""
    # The gateway's own call for a customer from elsewhere stays refused, and so does one without an address.
    for elsewhere in ("198.51.100.1", "", "192.0.2.7, 198.51.100.1"):
        metadata = (*bearer(walled), (CLIENT_ADDRESS, elsewhere), *service(stack))
        assert (await method.call(stack, metadata)).reason == "IP_NOT_ALLOWED", elsewhere


async def test_the_gateways_identity_gives_a_customers_key_no_more_than_the_key_has(
    stack: Stack, customer: Customer
) -> None:
    both = (*customer.metadata, *service(stack))
    for method in rpcs(stack):
        if CUSTOMER in method.audiences:
            assert (await method.call(stack, both)).reason not in REFUSALS, method.path
        elif INTERNAL not in method.audiences:
            assert (await method.call(stack, both)).reason == "INSUFFICIENT_PERMISSIONS", method.path
    wrong = (*bearer(new_key("us").whole()), *service(stack))
    assert (await rpc("keys.v1.KeyService/GetCallerKey").call(stack, wrong)).reason == "AUTHENTICATION_FAILED"


@pytest.mark.parametrize("region", ["eu", "jp"])
async def test_a_key_of_another_region_is_refused_and_told_where_it_belongs(
    stack: Stack, region: str
) -> None:
    status = await rpc("keys.v1.KeyService/GetCallerKey").call(stack, bearer(new_key(region).whole()))
    assert (status.reason, status.info) == ("AUTHENTICATION_FAILED", (("region", region),))


async def test_tokens_and_keys_are_not_accepted_in_each_others_place(
    stack: Stack, customer: Customer
) -> None:
    balance = rpc("ledger.v1.LedgerService/GetBalance")
    for metadata in (
        bearer(stack.service_token),
        ((SERVICE_TOKEN, stack.operator_token),),
        ((SERVICE_TOKEN, customer.secret),),
        bearer(f"op_{stack.service_token.removeprefix('svc_')}"),
        (("authorization", stack.operator_token),),
        (("authorization", f"Basic {stack.operator_token}"),),
        (("x-babysea-operator", stack.operator_token),),
        bearer("op_"),
    ):
        assert (await balance.call(stack, metadata)).reason in REFUSALS, metadata


async def test_a_method_that_nobody_serves_says_so_and_nothing_else(stack: Stack, customer: Customer) -> None:
    for path in ("/babysea.keys.v1.KeyService/Nope", "/babysea.nope.v1.Nope/Nope", "/../keys", "/"):
        method: Any = stack.channel.unary_unary(path)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await method(b"", metadata=customer.metadata)
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED, path
        assert "keys" not in (failed.value.details() or ""), path


async def test_watchers_of_our_health_do_not_crowd_out_customers(stack: Stack, customer: Customer) -> None:
    stub: Any = HealthStub(stack.channel)
    most = stack.server.shared.settings.max_concurrent_rpcs
    watches = [stub.Watch(HealthCheckRequest()) for _ in range(most)]
    try:
        await asyncio.gather(*(watch.read() for watch in watches), return_exceptions=True)
        status = await rpc("keys.v1.KeyService/GetCallerKey").call(stack, customer.metadata)
    finally:
        for watch in watches:
            watch.cancel()
    assert status.reason == ""


async def _key(
    stack: Stack, customer: Customer, *, scopes: list[str] | None = None, allowlist: list[str] | None = None
) -> str:
    shared = stack.server.shared
    _, secret = await create_key(
        shared.databases.app,
        shared.hasher,
        shared.clock,
        "us",
        account_id=customer.account_id,
        name=f"key {uuid7()}",
        preset="" if scopes else "full_access",
        scopes=scopes or [],
        allowlist=allowlist or [],
        expires_at=None,
    )
    return secret
