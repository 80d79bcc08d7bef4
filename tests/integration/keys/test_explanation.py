"""ExplainAccess: the same decision as the real call, without a trace of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from babysea.keys.v1 import key_service_pb2 as pb
from kit.clock import FixedClock
from kit.ids import uuid7
from kit.rpc import CLIENT_ADDRESS
from server.keys.secrets import KeyText, new_key, parse_key
from tests.integration.keys.live import Live, refusal
from tests.integration.keys.test_rotation import delete, rotate

WHO = "babysea.keys.v1.KeyService/GetCallerKey"
LIST = "babysea.keys.v1.KeyService/ListKeys"
CREATE = "babysea.generation.v1.GenerationService/CreateGeneration"
ADDRESS = "192.0.2.7"


async def explain(
    live: Live, method: str = WHO, address: str = ADDRESS, **key: str
) -> pb.ExplainAccessResponse:
    request = pb.ExplainAccessRequest(method=method, client_address=address, **key)
    response: pb.ExplainAccessResponse = await live.keys.ExplainAccess(request, metadata=live.operator)
    return response


@dataclass
class Case:
    """A key in some state, and the check that must decide."""

    secret: str
    check: str
    key_id: str = ""


async def _cases(live: Live, clock: FixedClock) -> dict[str, Case]:
    account = await live.region.new_account()
    restricted = await live.region.new_account()
    good = await live.new_key(account)
    key = parse_key(good.secret)
    assert key is not None
    deleted = await live.new_key(account)
    await delete(live, str(account), deleted.key.key_id)
    revoked = await live.new_key(account)
    await live.keys.RevokeKey(
        pb.RevokeKeyRequest(account_id=str(account), key_id=revoked.key.key_id), metadata=live.operator
    )
    expired = await live.new_key(account, expires_at=clock.at + timedelta(minutes=30))
    rotated = await live.new_key(account)
    await rotate(live, rotated.key, 1)
    walled = await live.new_key(account, allowlist=["203.0.113.0/24"])
    narrow = await live.new_key(account, scopes=["health:read"])
    reader = await live.new_key(restricted)
    admin = await live.region.connect()
    await admin.execute("update accounts.account set standing = 'restricted' where id = $1", restricted)
    await admin.close()
    clock.at += timedelta(hours=1)
    return {
        "good": Case(good.secret, "", good.key.key_id),
        "garbage": Case("bye_us_nonsense", "FORMAT"),
        "typo": Case(good.secret[:-1] + ("a" if good.secret[-1] != "a" else "b"), "FORMAT"),
        "elsewhere": Case(new_key("eu").whole(), "REGION"),
        "unknown": Case(new_key("us").whole(), "KNOWN", str(uuid7())),
        "deleted": Case(deleted.secret, "KNOWN", deleted.key.key_id),
        "wrong": Case(KeyText("us", key.public_id, new_key("us").secret).whole(), "SECRET"),
        "revoked": Case(revoked.secret, "LIFECYCLE", revoked.key.key_id),
        "expired": Case(expired.secret, "LIFECYCLE", expired.key.key_id),
        "rotated": Case(rotated.secret, "LIFECYCLE", rotated.key.key_id),
        "walled": Case(walled.secret, "ALLOWLIST", walled.key.key_id),
        "narrow": Case(narrow.secret, "SCOPE", narrow.key.key_id),
        "reader": Case(reader.secret, "", reader.key.key_id),
    }


async def test_it_decides_as_the_real_call_does_by_secret_and_by_id(live: Live, clock: FixedClock) -> None:
    for kind, case in (await _cases(live, clock)).items():
        told = await explain(live, secret=case.secret)
        decided = pb.AccessCheck.Name(told.decided_by).removeprefix("ACCESS_CHECK_")
        assert (decided if told.reason else "") == case.check, kind
        metadata = (("authorization", f"Bearer {case.secret}"), *live.service, (CLIENT_ADDRESS, ADDRESS))
        call = live.keys.GetCallerKey(pb.GetCallerKeyRequest(), metadata=metadata)
        if told.allowed:
            await call
        else:
            assert (await refusal(call)).reason == told.reason, kind
        if case.key_id:
            by_id = await explain(live, key_id=case.key_id)
            assert (by_id.allowed, by_id.decided_by, by_id.reason) == (
                told.allowed,
                told.decided_by,
                told.reason,
            ), kind
        _check_shape(told)


def _check_shape(told: pb.ExplainAccessResponse) -> None:
    """One finding per check in their order: passed or skipped, then at most one refusal, then nothing reached."""
    assert [finding.check for finding in told.findings] == list(range(1, 11))
    outcomes = [finding.outcome for finding in told.findings]
    if told.allowed:
        assert set(outcomes) <= {pb.ACCESS_OUTCOME_PASSED, pb.ACCESS_OUTCOME_SKIPPED}
        return
    at = outcomes.index(pb.ACCESS_OUTCOME_REFUSED)
    assert told.findings[at].check == told.decided_by
    assert told.findings[at].explanation
    assert set(outcomes[at + 1 :]) <= {pb.ACCESS_OUTCOME_NOT_REACHED}


async def test_a_restricted_account_is_refused_where_it_would_write(live: Live, clock: FixedClock) -> None:
    reader = (await _cases(live, clock))["reader"]
    told = await explain(live, CREATE, secret=reader.secret)
    assert (told.decided_by, told.reason) == (pb.ACCESS_CHECK_RESTRICTED, "ACCOUNT_RESTRICTED")


async def test_a_method_that_is_not_for_customers_is_refused_before_the_allowlist(
    live: Live, clock: FixedClock
) -> None:
    walled = (await _cases(live, clock))["walled"]
    told = await explain(live, LIST, secret=walled.secret)
    assert (told.decided_by, told.reason) == (pb.ACCESS_CHECK_AUDIENCE, "INSUFFICIENT_PERMISSIONS")
    real = await refusal(
        live.keys.ListKeys(
            pb.ListKeysRequest(account_id=str(uuid7())),
            metadata=(("authorization", f"Bearer {walled.secret}"),),
        )
    )
    assert real.reason == told.reason


async def test_without_an_address_the_allowlist_is_skipped(live: Live, clock: FixedClock) -> None:
    walled = (await _cases(live, clock))["walled"]
    told = await explain(live, address="", secret=walled.secret)
    assert told.allowed
    assert told.findings[pb.ACCESS_CHECK_ALLOWLIST - 1].outcome == pb.ACCESS_OUTCOME_SKIPPED


@pytest.mark.parametrize(
    "method", ["nope", "/", "babysea.keys.v1.KeyService/Nope", "babysea.keys.v1.KeyService"]
)
async def test_a_method_that_does_not_exist_is_named(live: Live, method: str) -> None:
    refused = await refusal(explain(live, method + "  ", key_id=str(uuid7())))
    assert refused.error.details == {"field": "method"}


async def test_an_address_that_is_none_is_named(live: Live) -> None:
    refused = await refusal(explain(live, address="example.org", key_id=str(uuid7())))
    assert refused.error.details == {"field": "client_address"}


async def test_it_leaves_no_trace_and_tells_no_secret(live: Live, clock: FixedClock) -> None:
    cases = await _cases(live, clock)
    verifier = live.server.shared.verifier
    good, wrong = cases["good"], cases["wrong"]
    for _ in range(40):
        await explain(live, secret=wrong.secret)
    told = await explain(live, secret=good.secret)
    assert told.key.key_id == good.key_id
    await verifier._usage.close()
    assert not (await explain(live, key_id=good.key_id)).key.HasField("last_used_at")
    assert (len(verifier._matches._values), len(verifier._rejected._values)) == (0, 0)
    # Forty wrong ones closed neither the address nor the id, and used up nothing of the account's minute.
    await live.who(good.secret)
    for case in cases.values():
        text = str(await explain(live, secret=case.secret))
        assert case.secret not in text
        parsed = parse_key(case.secret)
        assert parsed is None or parsed.secret not in text
        assert "$2b$" not in text


async def test_an_account_that_used_up_its_minute_is_told_so(live: Live, clock: FixedClock) -> None:
    account = await live.region.new_account()
    admin = await live.region.connect()
    await admin.execute("update accounts.account set requests_per_minute = 2 where id = $1", account)
    await admin.close()
    made = await live.new_key(account)
    for _ in range(2):
        await live.who(made.secret)
    told = await explain(live, key_id=made.key.key_id)
    assert (told.decided_by, told.reason) == (pb.ACCESS_CHECK_RATE, "RATE_LIMIT_EXCEEDED")
    assert (await refusal(live.who(made.secret))).reason == told.reason
