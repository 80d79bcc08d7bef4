"""Who a caller is, over TLS: a certificate for services and operators, a key for customers, and nothing else."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from babysea.accounts.v1 import account_service_pb2 as accounts
from babysea.keys.v1 import key_service_pb2 as keys
from babysea.ledger.v1 import ledger_service_pb2 as ledger
from babysea_sdk import CallError, Identity, InternalClient, NoAnswerError, RefusedError, TlsFiles
from kit.ids import uuid7
from tests.integration.transport.conftest import Secured
from tests.support.authority import Authority, uri

RELEASE = ledger.ReleaseRequest(hold_id=str(uuid7()))
"""Of an INTERNAL method."""
AUDIT = ledger.AuditLedgerRequest()
"""Of an OPERATOR method."""


async def _refused(client: InternalClient, *, audit: bool = False) -> CallError:
    async with client:
        with pytest.raises(CallError) as raised:
            await (client.ledger.audit_ledger(AUDIT) if audit else client.ledger.release(RELEASE))
        return raised.value


async def test_the_gateways_certificate_is_its_identity(secured: Secured) -> None:
    async with secured.internal(secured.gateway) as gateway:
        assert (await gateway.ledger.release(RELEASE)).result == "unknown_hold"
    error = await _refused(secured.internal(secured.gateway), audit=True)
    assert error.name == "INSUFFICIENT_PERMISSIONS"


async def test_an_operators_certificate_is_theirs(secured: Secured) -> None:
    async with secured.internal(secured.operator) as operator:
        assert not (await operator.ledger.audit_ledger(AUDIT)).findings
    error = await _refused(secured.internal(secured.operator))
    assert error.name == "INSUFFICIENT_PERMISSIONS"


@pytest.mark.parametrize("audit", [False, True])
async def test_without_a_certificate_the_port_for_certificates_is_shut(secured: Secured, audit: bool) -> None:
    error = await _refused(secured.internal(TlsFiles(secured.authority.file)), audit=audit)
    assert isinstance(error, NoAnswerError)
    assert not error.stated


@pytest.mark.parametrize("audit", [False, True])
async def test_without_a_certificate_the_open_port_names_what_is_missing(
    secured: Secured, audit: bool
) -> None:
    error = await _refused(secured.public(), audit=audit)
    assert (error.name, error.code) == ("AUTHENTICATION_REQUIRED", grpc.StatusCode.UNAUTHENTICATED)
    assert "service or an operator" in error.message


async def test_a_certificate_shown_on_the_open_port_counts_for_nothing(secured: Secured) -> None:
    error = await _refused(secured.public(tls=secured.gateway))
    assert error.name == "AUTHENTICATION_REQUIRED"


async def test_a_certificate_of_a_stranger_ends_in_the_handshake(secured: Secured, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger").client(uri("us", "gateway"))
    mixed = TlsFiles(secured.authority.file, stranger.certificate, stranger.key)
    error = await _refused(secured.internal(mixed))
    assert isinstance(error, NoAnswerError)
    assert not error.stated


@pytest.mark.parametrize(
    "uris",
    [
        [],
        [uri("eu", "gateway")],
        [uri("us", "gatewayx")],
        [uri("us", "operator/")],
        ["spiffe://elsewhere/us/gateway"],
        [uri("us", "gateway"), uri("us", "operator/ada")],
    ],
)
@pytest.mark.parametrize("audit", [False, True])
async def test_a_certificate_that_names_nobody_here_is_refused(
    secured: Secured, uris: list[str], audit: bool
) -> None:
    error = await _refused(secured.internal(secured.authority.client(*uris)), audit=audit)
    assert isinstance(error, RefusedError)
    assert error.name == "AUTHENTICATION_FAILED"
    assert "certificate names no service and no operator" in error.message


async def test_a_customer_needs_a_key_and_no_certificate(secured: Secured) -> None:
    secret = await secured.new_key()
    async with secured.public(Identity(bearer=secret)) as customer:
        assert (await customer.keys.get_caller_key(keys.GetCallerKeyRequest())).key.key_id
        assert (await customer.accounts.get_account(accounts.GetAccountRequest())).account.account_id


@pytest.mark.parametrize("audit", [False, True])
async def test_a_customers_key_opens_no_internal_method(secured: Secured, audit: bool) -> None:
    secret = await secured.new_key()
    error = await _refused(secured.public(Identity(bearer=secret)), audit=audit)
    assert (error.name, error.code) == ("INSUFFICIENT_PERMISSIONS", grpc.StatusCode.PERMISSION_DENIED)


async def test_tokens_count_for_nothing_where_certificates_do(secured: Secured) -> None:
    token = "svc_" + "s" * 43
    assert (await _refused(secured.public(Identity(service_token=token)))).name == "AUTHENTICATION_REQUIRED"
    operator = Identity(bearer="op_" + "o" * 43)
    assert (await _refused(secured.public(operator), audit=True)).name == "AUTHENTICATION_FAILED"


async def test_a_customer_cannot_forge_the_client_address(secured: Secured) -> None:
    secret = await secured.new_key("192.0.2.7")
    forged = Identity(bearer=secret, client_address="192.0.2.7")
    async with secured.public(forged) as customer:
        with pytest.raises(RefusedError) as raised:
            await customer.keys.get_caller_key(keys.GetCallerKeyRequest())
    assert raised.value.name == "IP_NOT_ALLOWED"
    # What an operator says about addresses is not believed either: only a service speaks for others.
    async with secured.internal(secured.operator, forged) as operator:
        with pytest.raises(RefusedError) as raised:
            await operator.keys.get_caller_key(keys.GetCallerKeyRequest())
    assert raised.value.name == "IP_NOT_ALLOWED"


async def test_the_gateway_says_the_customers_address(secured: Secured) -> None:
    secret = await secured.new_key("192.0.2.7")
    async with secured.internal(secured.gateway) as gateway:
        customer = gateway.on_behalf_of(secret, "192.0.2.7")
        assert (await customer.keys.get_caller_key(keys.GetCallerKeyRequest())).key.key_id
        with pytest.raises(RefusedError, match="IP_NOT_ALLOWED"):
            await gateway.on_behalf_of(secret, "192.0.2.8").keys.get_caller_key(keys.GetCallerKeyRequest())


async def test_plaintext_gets_no_answer(secured: Secured) -> None:
    for address in (secured.server.address, secured.server.mutual_address):
        error = await _refused(InternalClient(address))
        assert isinstance(error, NoAnswerError)
        assert not error.stated


async def test_a_client_of_one_region_never_talks_to_another(secured: Secured) -> None:
    client = InternalClient(secured.server.mutual_address, tls=secured.gateway, region="eu")
    error = await _refused(client)
    assert isinstance(error, NoAnswerError)
    assert not error.stated
