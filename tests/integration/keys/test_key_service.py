"""Making, listing and revoking keys, and how soon it shows."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest

from babysea.common.v1 import paging_pb2
from babysea.keys.v1 import key_service_pb2 as pb
from kit.clock import FixedClock
from kit.ids import uuid7
from server.keys.secrets import parse_key
from tests.integration.keys.live import Live, refusal


async def test_a_new_key_is_shown_once_and_stored_only_as_a_hash(live: Live) -> None:
    account = await live.region.new_account()
    made = await live.new_key(
        account, name="  CI  ", scopes=["library:read", "account:read"], allowlist=["10.0.0.0/8", "::1"]
    )
    assert made.key.name == "CI"
    assert list(made.key.scopes) == ["account:read", "library:read"]
    assert list(made.key.allowlist) == ["10.0.0.0/8", "::1"]
    assert UUID(made.key.key_id).version == 7
    assert not made.key.HasField("expires_at")
    assert not made.key.HasField("last_used_at")
    key = parse_key(made.secret)
    assert key is not None
    admin = await live.region.connect()
    stored = str(await admin.fetchrow("select k::text from keys.api_key k where id = $1", made.key.key_id))
    await admin.close()
    assert key.secret not in stored
    assert "$2b$04$" in stored


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"preset": "", "scopes": []}, "preset"),
        ({"scopes": ["account:read"], "preset": "full_access"}, "scopes"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "   "}, "name"),
        ({"allowlist": ["10.0.0.1", "10.0.0.1/8"]}, "allowlist[1]"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused_by_field_and_not_made(
    live: Live, fields: dict[str, Any], field: str
) -> None:
    account = await live.region.new_account()
    values: dict[str, Any] = {"account_id": str(account), "name": "n", "preset": "full_access", **fields}
    refused = await refusal(live.keys.CreateKey(pb.CreateKeyRequest(**values), metadata=live.operator))
    assert refused.reason == "INVALID_INPUT"
    assert refused.error.details == {"field": field}
    assert (await _list(live, account)).page.total == 0


async def test_an_expiry_in_the_past_is_refused(live: Live, clock: FixedClock) -> None:
    account = await live.region.new_account()
    clock.at += timedelta(days=1)
    refused = await refusal(live.new_key(account, expires_at=clock.at - timedelta(seconds=1)))
    assert refused.error.details == {"field": "expires_at"}


async def test_a_key_needs_an_account_that_exists(live: Live) -> None:
    assert (await refusal(live.new_key(uuid7()))).reason == "ACCOUNT_NOT_FOUND"


async def test_keys_are_listed_newest_first_page_by_page_without_gaps(live: Live) -> None:
    account, other = await live.region.new_account(), await live.region.new_account()
    made = [(await live.new_key(account)).key.key_id for _ in range(7)]
    await live.new_key(other)
    seen: list[str] = []
    page = paging_pb2.PageRequest(page_size=3)
    while True:
        answer = await _list(live, account, page)
        seen += [key.key_id for key in answer.keys]
        assert answer.page.total == 7
        if not answer.page.next_page_token:
            break
        page = paging_pb2.PageRequest(page_size=3, page_token=answer.page.next_page_token)
    assert seen == made[::-1]
    answer = await _list(live, account, paging_pb2.PageRequest(page_size=1000, offset=5))
    assert [key.key_id for key in answer.keys] == made[1::-1]
    assert (answer.page.page_size, answer.page.offset) == (100, 5)


@pytest.mark.parametrize("token", ["nonsense", "YXxi", "MjAyNnxi", "////", "MjAyNi0wMS0wMXwwMTkw"])
async def test_a_page_token_that_nobody_gave_is_refused(live: Live, token: str) -> None:
    page = paging_pb2.PageRequest(page_token=token)
    refused = await refusal(_list(live, await live.region.new_account(), page))
    assert refused.reason == "INVALID_INPUT"
    assert refused.error.details == {"field": "page.page_token"}


async def test_a_revoked_key_stops_working_at_once_where_it_was_revoked(live: Live) -> None:
    account = await live.region.new_account()
    made = await live.new_key(account)
    await live.who(made.secret)
    first = await _revoke(live, account, made.key.key_id)
    assert first.key.HasField("revoked_at")
    refused = await refusal(live.who(made.secret))
    assert refused.reason == "AUTHENTICATION_FAILED"
    assert refused.error.message == "The API key was revoked."
    again = await _revoke(live, account, made.key.key_id)
    assert again.key.revoked_at == first.key.revoked_at


async def test_another_accounts_key_and_a_random_id_are_revoked_with_identical_answers(live: Live) -> None:
    account, other = await live.region.new_account(), await live.region.new_account()
    made = await live.new_key(other)
    answers = []
    for key_id in (made.key.key_id, str(uuid7())):
        refused = await refusal(_revoke(live, account, key_id))
        answers.append((refused.code, refused.reason, refused.error.message, refused.error.details))
    assert answers[0] == answers[1]
    assert answers[0][0] is grpc.StatusCode.NOT_FOUND
    await live.who(made.secret)


async def test_a_hundred_first_uses_at_once_run_bcrypt_once(live: Live) -> None:
    made = await live.new_key(await live.region.new_account())
    assert live.server.shared.hasher.checks == 0
    await asyncio.gather(*(live.who(made.secret) for _ in range(100)))
    assert live.server.shared.hasher.checks == 1


async def test_the_last_use_is_noted(live: Live) -> None:
    made = await live.new_key(await live.region.new_account())
    await live.who(made.secret)
    await live.server.shared.verifier._usage.close()
    assert (await live.who(made.secret)).key.HasField("last_used_at")


async def test_our_services_can_verify_a_key_and_its_address(live: Live) -> None:
    made = await live.new_key(await live.region.new_account(), allowlist=["192.0.2.0/24"])

    async def authenticate(address: str) -> pb.AuthenticateKeyResponse:
        request = pb.AuthenticateKeyRequest(secret=made.secret, client_address=address)
        answer: pb.AuthenticateKeyResponse = await live.keys.AuthenticateKey(request, metadata=live.service)
        return answer

    assert (await authenticate("")).key.key_id == made.key.key_id
    assert (await authenticate("192.0.2.9")).key.account_id == made.key.account_id
    assert (await refusal(authenticate("192.0.3.9"))).reason == "IP_NOT_ALLOWED"


async def _list(live: Live, account: UUID, page: paging_pb2.PageRequest | None = None) -> pb.ListKeysResponse:
    request = pb.ListKeysRequest(account_id=str(account), page=page)
    answer: pb.ListKeysResponse = await live.keys.ListKeys(request, metadata=live.operator)
    return answer


async def _revoke(live: Live, account: UUID, key_id: str) -> pb.RevokeKeyResponse:
    request = pb.RevokeKeyRequest(account_id=str(account), key_id=key_id)
    answer: pb.RevokeKeyResponse = await live.keys.RevokeKey(request, metadata=live.operator)
    return answer
