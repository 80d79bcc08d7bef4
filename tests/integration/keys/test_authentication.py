"""Who calls: every outcome of authentication, over loopback."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from babysea.accounts.v1 import account_service_pb2 as accounts
from babysea.keys.v1 import key_service_pb2 as pb
from babysea.ledger.v1 import ledger_service_pb2 as ledger
from kit.clock import FixedClock
from kit.rpc import CLIENT_ADDRESS, SERVICE_TOKEN, STATUS_METADATA
from server.keys.secrets import KeyText, new_key, parse_key
from server.keys.states import STATE_SECONDS
from tests.integration.keys.live import Live, bearer, refusal


async def test_a_key_says_who_calls(live: Live) -> None:
    account = await live.region.new_account()
    made = await live.new_key(account)
    told = await live.who(made.secret)
    assert told.key.key_id == made.key.key_id
    assert told.key.account_id == str(account)
    assert made.secret.startswith(told.key.prefix + "_")


@pytest.mark.parametrize(
    "metadata",
    [(), (("authorization", ""),), (("authorization", "Bearer"),), (("authorization", "Basic dTpw"),)],
)
async def test_a_call_without_a_key_is_told_to_send_one(live: Live, metadata: object) -> None:
    refused = await refusal(live.keys.GetCallerKey(pb.GetCallerKeyRequest(), metadata=metadata))
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert refused.reason == "AUTHENTICATION_REQUIRED"
    status = status_pb2.Status.FromString(refused.trailing[STATUS_METADATA])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("AUTHENTICATION_REQUIRED", "babysea.ai")


@pytest.mark.parametrize("garbage", ["x", "bye_", "bye_us_short", "sk-something", "svc_abc"])
async def test_a_bearer_of_garbage_is_not_authenticated(live: Live, garbage: str) -> None:
    refused = await refusal(live.who(garbage))
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert refused.reason == "AUTHENTICATION_FAILED"
    assert live.server.shared.hasher.checks == 0


async def test_a_key_of_another_region_is_refused_and_its_region_named(live: Live) -> None:
    refused = await refusal(live.who(new_key("eu").whole()))
    assert refused.reason == "AUTHENTICATION_FAILED"
    assert refused.error.details == {"region": "eu"}
    assert live.server.shared.hasher.checks == 0


async def test_an_unknown_id_and_a_wrong_secret_get_the_same_answer_after_the_same_work(live: Live) -> None:
    made = await live.new_key(await live.region.new_account())
    key = parse_key(made.secret)
    assert key is not None
    wrong = KeyText(key.region, key.public_id, new_key("us").secret).whole()
    hasher = live.server.shared.hasher
    answers, work = [], []
    for secret in (wrong, new_key("us").whole()):
        before = hasher.checks
        refused = await refusal(live.who(secret))
        work.append(hasher.checks - before)
        answers.append((refused.code, refused.reason, refused.error.message, refused.error.details))
    assert answers[0] == answers[1]
    assert work == [1, 1]


async def test_a_wrong_key_is_not_checked_again_for_ten_seconds(live: Live, clock: FixedClock) -> None:
    wrong = new_key("us").whole()
    await refusal(live.who(wrong))
    await refusal(live.who(wrong))
    assert live.server.shared.hasher.checks == 1
    clock.at += timedelta(seconds=10)
    await refusal(live.who(wrong))
    assert live.server.shared.hasher.checks == 2


async def test_an_expired_key_stops_working_at_its_moment(live: Live, clock: FixedClock) -> None:
    expires = clock.at + timedelta(hours=1)
    made = await live.new_key(await live.region.new_account(), expires_at=expires)
    await live.who(made.secret)
    clock.at = expires
    refused = await refusal(live.who(made.secret))
    assert refused.reason == "AUTHENTICATION_FAILED"
    assert refused.error.message == "The API key has expired."


async def test_the_thirty_first_failure_from_an_address_is_refused_before_any_key_is_looked_at(
    live: Live, clock: FixedClock
) -> None:
    made = await live.new_key(await live.region.new_account())
    for _ in range(30):
        assert (await refusal(live.who("garbage"))).reason == "AUTHENTICATION_FAILED"
    checks = live.server.shared.hasher.checks
    refused = await refusal(live.who(made.secret))
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.reason == "AUTH_RATE_LIMITED"
    assert refused.error.details == {"retry_after_seconds": "60", "limit": "30"}
    assert refused.trailing["x-ratelimit-limit"] == "30"
    assert refused.trailing["x-ratelimit-remaining"] == "0"
    assert live.server.shared.hasher.checks == checks
    # The gateway's customers are told apart by their own addresses.
    await live.who(made.secret, *live.service, (CLIENT_ADDRESS, "192.0.2.1"))
    clock.at += timedelta(seconds=60)
    await live.who(made.secret)


async def test_without_its_database_the_server_is_unavailable_and_never_unauthenticated(
    live: Live, clock: FixedClock
) -> None:
    made = await live.new_key(await live.region.new_account())
    await live.who(made.secret)
    clock.at += timedelta(seconds=STATE_SECONDS)
    admin = await live.region.connect()
    try:
        await admin.execute("alter function keys.find_key(text) rename to find_key_away")
        assert (await refusal(live.who(made.secret))).reason == "INTERNAL_ERROR"
        await admin.execute("alter function keys.find_key_away(text) rename to find_key")
        await admin.execute("begin; lock table keys.api_key in access exclusive mode")
        refused = await refusal(live.who(made.secret))
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert refused.reason == "SERVICE_UNAVAILABLE"
        await admin.execute("rollback")
    finally:
        await admin.close()
    await live.who(made.secret)


async def test_an_operator_token_opens_operator_methods_and_no_others(live: Live) -> None:
    request = accounts.GetAccountRequest()
    assert (await live.keys.ListKeys(_listing(), metadata=live.operator)).page.total == 0
    refused = await refusal(live.accounts.GetAccount(request, metadata=live.operator))
    assert refused.reason == "AUTHENTICATION_REQUIRED"
    refused = await refusal(live.keys.ListKeys(_listing(), metadata=bearer("op_" + "x" * 43)))
    assert refused.reason == "AUTHENTICATION_FAILED"


async def test_a_method_of_ours_refuses_nobody_as_unauthenticated_and_a_customer_as_forbidden(
    live: Live,
) -> None:
    made = await live.new_key(await live.region.new_account())
    request = ledger.GetBalanceRequest(account_id=made.key.account_id)
    nobody = await refusal(live.ledger.GetBalance(request))
    assert (nobody.code, nobody.reason) == (grpc.StatusCode.UNAUTHENTICATED, "AUTHENTICATION_REQUIRED")
    customer = await refusal(live.ledger.GetBalance(request, metadata=bearer(made.secret)))
    assert customer.code is grpc.StatusCode.PERMISSION_DENIED
    assert customer.reason == "INSUFFICIENT_PERMISSIONS"
    assert (await live.ledger.GetBalance(request, metadata=live.service)).balance.account_id
    wrong = ((SERVICE_TOKEN, "svc_" + "x" * 43),)
    assert (
        await refusal(live.ledger.GetBalance(request, metadata=wrong))
    ).reason == "AUTHENTICATION_REQUIRED"


async def test_a_service_cannot_act_as_an_operator_or_a_customer(live: Live) -> None:
    # It brings no session along, so nobody is signed in.
    refused = await refusal(live.keys.ListKeys(_listing(), metadata=live.service))
    assert refused.reason == "AUTHENTICATION_REQUIRED"
    refused = await refusal(live.ledger.AuditLedger(ledger.AuditLedgerRequest(), metadata=live.service))
    assert refused.reason == "INSUFFICIENT_PERMISSIONS"
    refused = await refusal(live.keys.GetCallerKey(pb.GetCallerKeyRequest(), metadata=live.service))
    assert refused.reason == "AUTHENTICATION_REQUIRED"


async def test_no_key_makes_lists_or_changes_keys(live: Live) -> None:
    made = await live.new_key(await live.region.new_account())
    metadata = bearer(made.secret)
    account, key = made.key.account_id, made.key.key_id
    for call in (
        live.keys.CreateKey(
            pb.CreateKeyRequest(account_id=account, name="n", preset="full_access"), metadata=metadata
        ),
        live.keys.ListKeys(pb.ListKeysRequest(account_id=account), metadata=metadata),
        live.keys.GetKey(pb.GetKeyRequest(account_id=account, key_id=key), metadata=metadata),
        live.keys.RevokeKey(pb.RevokeKeyRequest(account_id=account, key_id=key), metadata=metadata),
        live.keys.RotateKey(pb.RotateKeyRequest(account_id=account, key_id=key), metadata=metadata),
        live.keys.DeleteKey(pb.DeleteKeyRequest(account_id=account, key_id=key), metadata=metadata),
    ):
        assert (await refusal(call)).reason == "INSUFFICIENT_PERMISSIONS"


def _listing() -> pb.ListKeysRequest:
    return pb.ListKeysRequest(account_id="0190a0a0-0000-7000-8000-000000000001")
