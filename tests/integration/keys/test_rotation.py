"""Rotation and deletion of keys."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest

from babysea.keys.v1 import key_service_pb2 as pb
from babysea.keys.v1 import keys_pb2
from kit.clock import FixedClock
from kit.ids import uuid7
from server.keys.secrets import new_key, parse_key
from tests.integration.keys.live import Live, refusal

OVER = "The API key was rotated and its grace is over; use the new key."


async def rotate(live: Live, key: keys_pb2.ApiKey, grace_hours: int | None = None) -> pb.RotateKeyResponse:
    request = pb.RotateKeyRequest(account_id=key.account_id, key_id=key.key_id, grace_hours=grace_hours)
    response: pb.RotateKeyResponse = await live.keys.RotateKey(request, metadata=live.operator)
    return response


async def delete(live: Live, account_id: str, key_id: str) -> None:
    request = pb.DeleteKeyRequest(account_id=account_id, key_id=key_id)
    await live.keys.DeleteKey(request, metadata=live.operator)


async def keys_of(live: Live, account_id: str) -> dict[str, keys_pb2.ApiKey]:
    listed = await live.keys.ListKeys(pb.ListKeysRequest(account_id=account_id), metadata=live.operator)
    assert listed.page.total == len(listed.keys)
    return {key.key_id: key for key in listed.keys}


@pytest.mark.parametrize(("grace", "hours"), [(None, 24), (1, 1), (168, 168)])
async def test_both_keys_work_during_the_grace_and_only_the_new_one_after_it(
    live: Live, clock: FixedClock, grace: int | None, hours: int
) -> None:
    made = await live.new_key(await live.region.new_account())
    await live.who(made.secret)
    done = await rotate(live, made.key, grace)
    assert done.rotated.key_id == made.key.key_id
    assert done.rotated.replaced_by == done.key.key_id
    assert done.rotated.status == keys_pb2.KEY_STATUS_ROTATED
    assert done.rotated.expires_at.ToDatetime() - done.rotated.rotated_at.ToDatetime() == timedelta(
        hours=hours
    )
    assert done.key.status == keys_pb2.KEY_STATUS_ACTIVE
    clock.at += timedelta(hours=hours) - timedelta(seconds=1)
    assert (await live.who(made.secret)).key.status == keys_pb2.KEY_STATUS_ROTATED
    assert (await live.who(done.secret)).key.key_id == done.key.key_id
    clock.at += timedelta(seconds=1)
    refused = await refusal(live.who(made.secret))
    assert (refused.reason, refused.error.message) == ("AUTHENTICATION_FAILED", OVER)
    assert (await live.who(done.secret)).key.key_id == done.key.key_id
    assert (await keys_of(live, made.key.account_id))[made.key.key_id].status == keys_pb2.KEY_STATUS_ROTATED


async def test_the_new_key_has_the_rules_of_the_old_one_and_nothing_of_its_text(
    live: Live, clock: FixedClock
) -> None:
    made = await live.new_key(
        await live.region.new_account(),
        name="nightly",
        scopes=["generation:read", "library:read"],
        allowlist=["127.0.0.0/8", "2001:db8::/32"],
        expires_at=clock.at + timedelta(hours=2),
    )
    done = await rotate(live, made.key)
    for field in ("account_id", "name", "scopes", "allowlist", "expires_at"):
        assert getattr(done.key, field) == getattr(made.key, field), field
    # The grace never makes a key live longer than it was to.
    assert done.rotated.expires_at == made.key.expires_at
    old, new = parse_key(made.secret), parse_key(done.secret)
    assert old is not None
    assert new is not None
    assert old.public_id != new.public_id
    assert old.secret != new.secret
    assert done.key.prefix != made.key.prefix


@pytest.mark.parametrize("grace", [0, -1, 169])
async def test_a_grace_outside_of_its_range_is_refused_and_rotates_nothing(live: Live, grace: int) -> None:
    made = await live.new_key(await live.region.new_account())
    refused = await refusal(rotate(live, made.key, grace))
    assert refused.error.details == {"field": "grace_hours"}
    assert list(await keys_of(live, made.key.account_id)) == [made.key.key_id]


async def test_of_twenty_rotations_at_once_one_makes_a_key_and_the_others_are_told_of_it(live: Live) -> None:
    made = await live.new_key(await live.region.new_account())
    answers = await asyncio.gather(*(rotate(live, made.key) for _ in range(20)), return_exceptions=True)
    assert len([answer for answer in answers if isinstance(answer, pb.RotateKeyResponse)]) == 1
    assert len(await keys_of(live, made.key.account_id)) == 2
    refused = await refusal(rotate(live, made.key))
    assert refused.reason == "CONFLICT"
    assert refused.error.message == "The key was rotated already; rotate the one that took its place."


async def test_only_an_active_key_is_rotated(live: Live, clock: FixedClock) -> None:
    account = await live.region.new_account()
    revoked = await live.new_key(account)
    await _revoke(live, revoked.key)
    expired = await live.new_key(account, expires_at=clock.at + timedelta(minutes=5))
    clock.at += timedelta(minutes=5)
    for made, status in ((revoked, keys_pb2.KEY_STATUS_REVOKED), (expired, keys_pb2.KEY_STATUS_EXPIRED)):
        assert (await refusal(rotate(live, made.key))).reason == "CONFLICT"
        assert (await keys_of(live, str(account)))[made.key.key_id].status == status


async def test_a_rotated_key_can_be_revoked_before_its_grace_is_over(live: Live) -> None:
    made = await live.new_key(await live.region.new_account())
    done = await rotate(live, made.key, 168)
    await _revoke(live, made.key)
    assert (await refusal(live.who(made.secret))).error.message == "The API key was revoked."
    await live.who(done.secret)


async def test_the_new_key_can_be_rotated_in_turn_while_the_first_one_is_in_its_grace(live: Live) -> None:
    made = await live.new_key(await live.region.new_account())
    second = await rotate(live, made.key)
    third = await rotate(live, second.key)
    for secret in (made.secret, second.secret, third.secret):
        await live.who(secret)


async def test_a_deleted_key_is_gone_from_lists_and_rows_and_refused_like_one_that_never_was(
    live: Live,
) -> None:
    account = await live.region.new_account()
    made, kept = await live.new_key(account, name="secret project"), await live.new_key(account)
    await live.who(made.secret)
    await delete(live, str(account), made.key.key_id)
    deleted, never = [await refusal(live.who(secret)) for secret in (made.secret, new_key("us").whole())]
    assert (deleted.code, deleted.error.message, deleted.error.details) == (
        never.code,
        never.error.message,
        never.error.details,
    )
    assert deleted.reason == "AUTHENTICATION_FAILED"
    assert list(await keys_of(live, str(account))) == [kept.key.key_id]
    admin = await live.region.connect()
    assert await admin.fetchval("select count(*) from keys.api_key where id = $1", made.key.key_id) == 0
    await admin.close()
    await live.who(kept.secret)


async def test_a_key_is_deleted_in_whatever_state_it_is_and_once(live: Live, clock: FixedClock) -> None:
    account = await live.region.new_account()
    revoked, rotated = await live.new_key(account), await live.new_key(account)
    await _revoke(live, revoked.key)
    successor = (await rotate(live, rotated.key)).key
    for key in (revoked.key, rotated.key, successor):
        await delete(live, str(account), key.key_id)
        assert (await refusal(delete(live, str(account), key.key_id))).code is grpc.StatusCode.NOT_FOUND
    assert await keys_of(live, str(account)) == {}


@pytest.mark.parametrize("verb", ["GetKey", "RotateKey", "DeleteKey"])
async def test_another_accounts_key_and_a_random_id_get_identical_answers(live: Live, verb: str) -> None:
    account, other = await live.region.new_account(), await live.region.new_account()
    made = await live.new_key(other)
    answers = []
    for key_id in (made.key.key_id, str(uuid7())):
        request = getattr(pb, f"{verb}Request")(account_id=str(account), key_id=key_id)
        refused = await refusal(getattr(live.keys, verb)(request, metadata=live.operator))
        answers.append((refused.code, refused.reason, refused.error.message, refused.error.details))
    assert answers[0] == answers[1]
    assert answers[0][0] is grpc.StatusCode.NOT_FOUND
    await live.who(made.secret)


async def test_row_level_security_lets_no_tenant_delete_anothers_key(live: Live) -> None:
    made = await live.new_key(await live.region.new_account())
    app = await live.region.connect("babysea_app")
    for tenant in ("", str(await live.region.new_account())):
        await app.execute("select set_config('app.account_id', $1, false)", tenant)
        assert (
            await app.execute("delete from keys.api_key where id = $1", UUID(made.key.key_id)) == "DELETE 0"
        )
    await app.close()
    await live.who(made.secret)


async def _revoke(live: Live, key: keys_pb2.ApiKey) -> Any:
    request = pb.RevokeKeyRequest(account_id=key.account_id, key_id=key.key_id)
    return await live.keys.RevokeKey(request, metadata=live.operator)
