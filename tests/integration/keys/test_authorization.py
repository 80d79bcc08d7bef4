"""What a caller may do: addresses, scopes, restriction and rate, over loopback."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc

from babysea.accounts.v1 import account_service_pb2 as accounts
from babysea.keys.v1 import key_service_pb2 as pb
from kit.clock import FixedClock
from kit.rpc import (
    CLIENT_ADDRESS,
    DATABASE_MILLIS,
    RATE_LIMIT_LIMIT,
    RATE_LIMIT_REMAINING,
    RATE_LIMIT_RESET,
    SERVER_MILLIS,
    STATUS_METADATA,
)
from tests.integration.keys.live import Live, bearer, refusal, trailing_of


async def test_a_key_with_an_allowlist_works_from_its_addresses_only(live: Live) -> None:
    account = await live.region.new_account()
    here = await live.new_key(account, allowlist=["127.0.0.0/8"])
    elsewhere = await live.new_key(account, allowlist=["192.0.2.0/24"])
    await live.who(here.secret)
    refused = await refusal(live.who(elsewhere.secret))
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "IP_NOT_ALLOWED")


async def test_a_clients_address_is_believed_from_our_own_services_only(live: Live) -> None:
    made = await live.new_key(await live.region.new_account(), allowlist=["192.0.2.0/24"])
    claimed = (CLIENT_ADDRESS, "192.0.2.7")
    assert (await refusal(live.who(made.secret, claimed))).reason == "IP_NOT_ALLOWED"
    await live.who(made.secret, claimed, *live.service)
    await live.who(made.secret, (CLIENT_ADDRESS, "::ffff:192.0.2.7"), *live.service)
    for lie in ("192.0.3.7", "nonsense", "192.0.2.7, 192.0.2.8"):
        refused = await refusal(live.who(made.secret, (CLIENT_ADDRESS, lie), *live.service))
        assert refused.reason == "IP_NOT_ALLOWED"


async def test_a_key_without_the_scope_is_told_which_one_it_lacks(live: Live) -> None:
    made = await live.new_key(await live.region.new_account(), preset="generate_only")
    refused = await refusal(live.who(made.secret))
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "INSUFFICIENT_PERMISSIONS")
    assert refused.error.details == {"scope": "account:read"}
    assert '"account:read"' in refused.error.message


async def test_the_address_is_checked_before_the_scope(live: Live) -> None:
    made = await live.new_key(await live.region.new_account(), preset="monitor_only", allowlist=["192.0.2.1"])
    assert (await refusal(live.who(made.secret))).reason == "IP_NOT_ALLOWED"


async def test_a_restricted_account_may_still_read(live: Live, clock: FixedClock) -> None:
    account = await live.region.new_account()
    made = await live.new_key(account)
    await live.who(made.secret)
    admin = await live.region.connect()
    await admin.execute("update accounts.account set standing = 'restricted' where id = $1", account)
    await admin.close()
    clock.at += timedelta(seconds=5)
    await live.who(made.secret)
    assert (await live.server.shared.verifier.verify(made.secret)).restricted


async def test_every_answer_to_a_key_says_where_its_account_stands(live: Live, clock: FixedClock) -> None:
    account = await live.region.new_account(plan="free")
    made = await live.new_key(account)
    call = live.keys.GetCallerKey(pb.GetCallerKeyRequest(), metadata=bearer(made.secret))
    trailing = await trailing_of(call)
    assert trailing[RATE_LIMIT_LIMIT] == "60"
    assert trailing[RATE_LIMIT_REMAINING] == "59"
    assert int(trailing[RATE_LIMIT_RESET]) - clock.at.timestamp() <= 61
    assert float(trailing[SERVER_MILLIS]) >= float(trailing[DATABASE_MILLIS]) > 0
    narrow = await live.new_key(account, preset="monitor_only")
    refused = await refusal(live.who(narrow.secret))
    assert refused.reason == "INSUFFICIENT_PERMISSIONS"
    assert refused.trailing[RATE_LIMIT_REMAINING] == "59"
    assert SERVER_MILLIS in refused.trailing
    assert STATUS_METADATA in refused.trailing


async def test_all_keys_of_an_account_share_its_limit_and_the_next_window_opens_it_again(
    live: Live, clock: FixedClock
) -> None:
    account = await live.region.new_account()
    admin = await live.region.connect()
    await admin.execute("update accounts.account set requests_per_minute = 5 where id = $1", account)
    await admin.close()
    one, other = await live.new_key(account), await live.new_key(account)
    for secret in (one.secret, other.secret, one.secret, other.secret, one.secret):
        await live.who(secret)
    refused = await refusal(live.who(other.secret))
    assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMIT_EXCEEDED")
    assert refused.error.details == {"retry_after_seconds": "60", "limit": "5"}
    assert refused.error.spec.retryable
    assert refused.trailing[RATE_LIMIT_REMAINING] == "0"
    neighbour = await live.new_key(await live.region.new_account())
    await live.who(neighbour.secret)
    clock.at += timedelta(seconds=60)
    await live.who(other.secret)


async def test_of_a_hundred_calls_at_once_exactly_the_limit_passes(live: Live) -> None:
    made = await live.new_key(await live.region.new_account(plan="free"))
    results = await asyncio.gather(*(live.who(made.secret) for _ in range(100)), return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 60


async def test_a_request_that_breaks_a_rule_counts_and_names_its_field(live: Live) -> None:
    request = pb.ListKeysRequest(account_id="nonsense")
    refused = await refusal(live.keys.ListKeys(request, metadata=live.operator))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT")
    assert refused.error.details == {"field": "account_id"}


async def test_nobody_learns_from_validation_what_a_method_wants(live: Live) -> None:
    refused = await refusal(live.keys.ListKeys(pb.ListKeysRequest(account_id="nonsense")))
    assert refused.reason == "AUTHENTICATION_REQUIRED"


async def test_a_key_whose_account_is_gone_gets_account_not_found(live: Live) -> None:
    made = await live.new_key(await live.region.new_account())
    await live.who(made.secret)
    admin = await live.region.connect()
    await admin.execute("set session_replication_role = replica")
    await admin.execute("delete from accounts.account where id = $1", made.key.account_id)
    await admin.close()
    request = accounts.GetAccountRequest()
    refused = await refusal(live.accounts.GetAccount(request, metadata=bearer(made.secret)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
