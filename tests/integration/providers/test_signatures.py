"""Reports of providers: only one that is signed, new and unchanged says anything, and nonsense costs us no calls."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

import pytest

from kit.clock import FixedClock
from server.providers.bfl import BlackForestLabs
from server.providers.fal import Fal
from server.providers.protocol import Adapter, CallbackFacts, CallbackRefused, ProviderUnreachable
from tests.integration.providers.canned import canned, closed_port
from tests.integration.providers.native import NO_USABLE_ANSWER, Provider, answered, says, sent
from tests.integration.providers.signing import (
    BODY,
    FAL_BODY,
    JOB,
    KEY,
    NOW,
    OTHER_KEY,
    OTHER_SECRET,
    SECRET,
    Calls,
    believed,
    bfl_headers,
    fal_at,
    fal_headers,
    jwks,
    refused,
    replicate_at,
    replicate_headers,
    secret_answer,
)


async def test_a_report_of_fal_is_verified_with_its_published_keys() -> None:
    calls, clock = Calls(jwks(OTHER_KEY, KEY)), FixedClock(NOW)
    async with answered(calls) as url, fal_at(url, clock).at(url) as adapter:
        facts = await adapter.verify_callback(fal_headers(FAL_BODY), FAL_BODY, "")
        assert facts == CallbackFacts(JOB, JOB, NOW)
        again = await adapter.verify_callback(
            fal_headers(FAL_BODY, at=NOW + timedelta(seconds=60)), FAL_BODY, ""
        )
        assert again.event_id == facts.event_id
    (request,) = calls.requests
    assert (request.method, request.path) == ("GET", "/.well-known/jwks.json")


@pytest.mark.parametrize(
    "change",
    [
        {"x-fal-webhook-signature": ""},
        {"x-fal-webhook-signature": "00" * 64},
        {"x-fal-webhook-signature": "zz" * 64},
        {"x-fal-webhook-signature": fal_headers(FAL_BODY)["x-fal-webhook-signature"][:-2]},
        {"x-fal-webhook-signature": fal_headers(FAL_BODY)["x-fal-webhook-signature"] + "00"},
        {"x-fal-webhook-signature": fal_headers(FAL_BODY, key=OTHER_KEY)["x-fal-webhook-signature"]},
        {"x-fal-webhook-request-id": "job-2"},
        {"x-fal-webhook-request-id": ""},
        {"x-fal-webhook-request-id": "a\nb"},
        {"x-fal-webhook-request-id": ".."},
        {"x-fal-webhook-user-id": "user-2"},
        {"x-fal-webhook-user-id": ""},
        {"x-fal-webhook-user-id": "\udcff"},
        {"x-fal-webhook-timestamp": str(int(NOW.timestamp()) + 1)},
        {"x-fal-webhook-timestamp": "now"},
        {"x-fal-webhook-timestamp": "9" * 12},
        {"x-fal-webhook-timestamp": "-5"},
        {"x-fal-webhook-timestamp": ""},
    ],
)
async def test_a_changed_report_of_fal_is_refused(change: dict[str, str]) -> None:
    async with answered(Calls(jwks(KEY))) as url, fal_at(url, FixedClock(NOW)).at(url) as adapter:
        headers = fal_headers(FAL_BODY)
        with refused():
            await adapter.verify_callback(headers | change, FAL_BODY, "")
        with refused():
            await adapter.verify_callback({k: v for k, v in headers.items() if k not in change}, FAL_BODY, "")
        await believed(adapter, headers, FAL_BODY, "")


OFFSETS = pytest.mark.parametrize(
    ("offset", "fresh"), [(-301, False), (-300, True), (300, True), (301, False)]
)


@OFFSETS
async def test_a_report_of_fal_is_believed_for_five_minutes(offset: int, fresh: bool) -> None:
    headers = fal_headers(FAL_BODY, at=NOW + timedelta(seconds=offset))
    async with answered(Calls(jwks(KEY))) as url, fal_at(url, FixedClock(NOW)).at(url) as adapter:
        if fresh:
            await believed(adapter, headers, FAL_BODY, "")
            return
        with refused():
            await adapter.verify_callback(headers, FAL_BODY, "")


@pytest.mark.parametrize("body", [FAL_BODY + b" ", FAL_BODY[:-1], b"", FAL_BODY.replace(b"OK", b"ERROR")])
async def test_another_body_under_the_same_signature_is_refused(body: bytes) -> None:
    async with answered(Calls(jwks(KEY))) as url, fal_at(url, FixedClock(NOW)).at(url) as adapter:
        with refused():
            await adapter.verify_callback(fal_headers(FAL_BODY), body, "")


async def test_keys_are_fetched_again_after_a_day() -> None:
    calls, clock = Calls(jwks(KEY), jwks(OTHER_KEY)), FixedClock(NOW)
    async with answered(calls) as url, fal_at(url, clock).at(url) as adapter:
        await believed(adapter, fal_headers(FAL_BODY), FAL_BODY, "")
        clock.at = NOW + timedelta(hours=23, minutes=59)
        await believed(adapter, fal_headers(FAL_BODY, at=clock.at), FAL_BODY, "")
        assert len(calls.requests) == 1
        clock.at = NOW + timedelta(hours=24)
        with refused():
            await adapter.verify_callback(fal_headers(FAL_BODY, at=clock.at), FAL_BODY, "")
        await believed(adapter, fal_headers(FAL_BODY, key=OTHER_KEY, at=clock.at), FAL_BODY, "")
    assert len(calls.requests) == 2


async def test_reports_that_arrive_together_have_the_keys_fetched_once() -> None:
    calls = Calls(jwks(KEY))
    async with answered(calls) as url, fal_at(url, FixedClock(NOW)).at(url) as adapter:
        headers = fal_headers(FAL_BODY)
        await asyncio.gather(*(believed(adapter, headers, FAL_BODY, "") for _ in range(20)))
    assert len(calls.requests) == 1


async def test_a_new_key_is_found_once_a_minute_has_passed() -> None:
    calls, clock = Calls(jwks(OTHER_KEY), jwks(OTHER_KEY, KEY)), FixedClock(NOW)
    async with answered(calls) as url, fal_at(url, clock).at(url) as adapter:
        for _ in range(20):
            with refused():
                await adapter.verify_callback(fal_headers(FAL_BODY), FAL_BODY, "")
        assert len(calls.requests) == 1
        clock.at = NOW + timedelta(minutes=1)
        await believed(adapter, fal_headers(FAL_BODY), FAL_BODY, "")
    assert len(calls.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        *NO_USABLE_ANSWER,
        says({"keys": []}),
        says({"keys": "x"}),
        says({"keys": [5, None, {"kty": "RSA"}]}),
        says({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "short"}]}),
        says({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": 5}]}),
        says({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "\u00e4" * 43}]}),
        jwks(KEY, kty="EC"),
        jwks(KEY, crv="X25519"),
        says({}, "503 X"),
    ],
)
async def test_without_keys_nothing_is_verified_and_they_are_not_asked_for_again_at_once(
    answer: bytes,
) -> None:
    calls = Calls(answer)
    async with answered(calls) as url, fal_at(url, FixedClock(NOW)).at(url) as adapter:
        for _ in range(3):
            with pytest.raises(ProviderUnreachable):
                await adapter.verify_callback(fal_headers(FAL_BODY), FAL_BODY, "")
    assert len(calls.requests) == 1


async def test_keys_of_another_host_are_never_asked_for() -> None:
    async with canned(jwks(KEY)) as (elsewhere, seen):
        fal = fal_at(elsewhere, FixedClock(NOW))
        async with fal.at(f"http://127.0.0.1:{closed_port()}") as adapter:
            with pytest.raises(ProviderUnreachable):
                await adapter.verify_callback(fal_headers(FAL_BODY), FAL_BODY, "")
    assert seen == []


async def test_keys_of_an_api_elsewhere_are_asked_for_there() -> None:
    calls = Calls(jwks(KEY))
    fal = Provider(
        "fal", lambda http, info: Fal(http, info, clock=FixedClock(NOW)), scheme="Key", below="/fal"
    )
    async with answered(calls) as url, fal.at(url) as adapter:
        await believed(adapter, fal_headers(FAL_BODY), FAL_BODY, "")
    assert [request.path for request in calls.requests] == ["/fal/.well-known/jwks.json"]


async def test_nonsense_is_refused_without_asking_for_keys() -> None:
    calls = Calls(jwks(KEY))
    old = fal_headers(FAL_BODY, at=NOW - timedelta(hours=1))
    async with answered(calls) as url, fal_at(url, FixedClock(NOW)).at(url) as adapter:
        for headers in ({}, old, fal_headers(FAL_BODY) | {"x-fal-webhook-signature": "x"}):
            with refused():
                await adapter.verify_callback(headers, FAL_BODY, "")
    assert calls.requests == []


async def test_a_report_of_replicate_is_verified_with_the_accounts_secret() -> None:
    async with (
        canned(*secret_answer(SECRET)) as (url, seen),
        replicate_at(FixedClock(NOW)).at(url) as adapter,
    ):
        facts = await adapter.verify_callback(replicate_headers(BODY), BODY, "")
        assert facts == CallbackFacts(JOB, "msg_1", NOW)
        assert await adapter.verify_callback(replicate_headers(BODY), BODY, "") == facts
    (request,) = [sent(each) for each in seen]
    assert (request.method, request.path) == ("GET", "/v1/webhooks/default/secret")
    assert request.headers["authorization"] == "Bearer very-secret-key"


async def test_one_of_several_signatures_is_enough() -> None:
    right = replicate_headers(BODY)["webhook-signature"]
    wrong = replicate_headers(BODY, secret=OTHER_SECRET)["webhook-signature"]
    async with canned(*secret_answer(SECRET)) as (url, _), replicate_at(FixedClock(NOW)).at(url) as adapter:
        headers = replicate_headers(BODY) | {"webhook-signature": f"v2,abc {wrong} v1,??? {right}"}
        await believed(adapter, headers, BODY, "")


RIGHT = replicate_headers(BODY)["webhook-signature"]


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": ""},
        {"webhook-signature": RIGHT.removeprefix("v1,")},
        {"webhook-signature": RIGHT.replace("v1,", "v2,")},
        {"webhook-signature": RIGHT[:-4]},
        {"webhook-signature": RIGHT[:-1]},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,\u00e4"},
        {"webhook-signature": " ".join(["v1,AAAA"] * 50 + [RIGHT])},
        {"webhook-signature": replicate_headers(BODY, secret=OTHER_SECRET)["webhook-signature"]},
        {"webhook-id": "msg_2"},
        {"webhook-id": ""},
        {"webhook-id": "a b"},
        {"webhook-timestamp": str(int(NOW.timestamp()) - 1)},
        {"webhook-timestamp": "12.5"},
        {"webhook-timestamp": "\u0661\u0662"},
    ],
)
async def test_a_changed_report_of_replicate_is_refused(change: dict[str, str]) -> None:
    async with canned(*secret_answer(SECRET)) as (url, _), replicate_at(FixedClock(NOW)).at(url) as adapter:
        with refused():
            await adapter.verify_callback(replicate_headers(BODY) | change, BODY, "")
        with refused():
            await adapter.verify_callback(replicate_headers(BODY), BODY + b" ", "")
        await believed(adapter, replicate_headers(BODY), BODY, "")


@OFFSETS
async def test_a_report_of_replicate_is_believed_for_five_minutes(offset: int, fresh: bool) -> None:
    headers = replicate_headers(BODY, at=NOW + timedelta(seconds=offset))
    async with canned(*secret_answer(SECRET)) as (url, _), replicate_at(FixedClock(NOW)).at(url) as adapter:
        if fresh:
            await believed(adapter, headers, BODY, "")
            return
        with refused():
            await adapter.verify_callback(headers, BODY, "")


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b"{}", b'{"id": 5}', b'{"id": "../x"}', b"\xff", b'{"id": ' + b"[" * 100_000]
)
async def test_a_signed_report_about_no_job_is_refused(body: bytes) -> None:
    async with canned(*secret_answer(SECRET)) as (url, _), replicate_at(FixedClock(NOW)).at(url) as adapter:
        with refused():
            await adapter.verify_callback(replicate_headers(body), body, "")
    async with bfl() as adapter:
        with refused():
            await adapter.verify_callback(bfl_headers(body), body, "s3cret")


async def test_a_new_secret_is_found_without_waiting_for_a_day() -> None:
    clock = FixedClock(NOW)
    answers = secret_answer(OTHER_SECRET, SECRET)
    async with canned(*answers) as (url, seen), replicate_at(clock).at(url) as adapter:
        await believed(adapter, replicate_headers(BODY, secret=OTHER_SECRET), BODY, "")
        clock.at = NOW + timedelta(minutes=2)
        await believed(adapter, replicate_headers(BODY), BODY, "")
    assert len(seen) == 2


@pytest.mark.parametrize(
    "answer",
    [
        says({"key": "whsec_"}),
        says({"key": "whsec_???"}),
        says({"key": 5}),
        says({"key": "other_AAAA"}),
        says({}, "401 X"),
        b"",
    ],
)
async def test_without_a_secret_no_report_is_verified(answer: bytes) -> None:
    async with canned(answer) as (url, _), replicate_at(FixedClock(NOW)).at(url) as adapter:
        with pytest.raises(ProviderUnreachable):
            await adapter.verify_callback(replicate_headers(BODY), BODY, "")


def bfl() -> AbstractAsyncContextManager[Adapter]:
    """The adapter of Black Forest Labs, which needs nobody to verify a report."""
    provider = Provider(
        "bfl", lambda http, info: BlackForestLabs(http, info, FixedClock(NOW)), scheme="", header="x-key"
    )
    return provider.at("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("timestamp", "signed_at"),
    [
        (None, None),
        ("2026-11-22T12:00:00Z", NOW),
        ("2026-11-22T13:00:00+01:00", NOW),
        ("2026-11-22T02:00:00", None),
        (NOW.timestamp(), NOW),
        ("soon", None),
        (float("inf"), None),
        (True, None),
        ({}, None),
    ],
)
async def test_a_report_of_black_forest_labs_is_verified_with_the_attempts_secret(
    timestamp: object, signed_at: datetime | None
) -> None:
    body = json.dumps({"id": "bfl-1", "status": "Ready", "timestamp": timestamp}).encode()
    async with bfl() as adapter:
        facts = await adapter.verify_callback(bfl_headers(body), body, "s3cret")
    assert facts == CallbackFacts("bfl-1", "bfl-1:Ready", signed_at)


GOOD = bfl_headers(BODY)["x-bfl-signature"]


@pytest.mark.parametrize(
    ("signature", "secret"),
    [
        (GOOD, "another"),
        (GOOD, ""),
        ("", "s3cret"),
        (GOOD.removeprefix("sha256="), "s3cret"),
        (GOOD.replace("sha256", "sha1"), "s3cret"),
        (GOOD[:-2], "s3cret"),
        (GOOD + "00", "s3cret"),
        ("sha256=" + "0" * 64, "s3cret"),
        ("sha256=" + "\u00e4" * 64, "s3cret"),
        (bfl_headers(BODY, "")["x-bfl-signature"], ""),
    ],
)
async def test_a_forged_report_of_black_forest_labs_is_refused(signature: str, secret: str) -> None:
    async with bfl() as adapter:
        await believed(adapter, {"x-bfl-signature": GOOD}, BODY, "s3cret")
        with refused():
            await adapter.verify_callback({"x-bfl-signature": signature}, BODY, secret)
        with refused():
            await adapter.verify_callback({"x-bfl-signature": GOOD}, BODY + b"\n", "s3cret")


async def test_a_stale_report_of_black_forest_labs_is_refused() -> None:
    body = json.dumps({"id": "bfl-1", "timestamp": "2026-11-22T11:54:59Z"}).encode()
    async with bfl() as adapter:
        with refused():
            await adapter.verify_callback(bfl_headers(body), body, "s3cret")


async def test_no_refusal_repeats_what_was_sent() -> None:
    async with bfl() as adapter:
        with pytest.raises(CallbackRefused) as caught:
            await adapter.verify_callback({"x-bfl-signature": "secret-word"}, b"secret-word", "s3cret")
    assert "secret-word" not in str(caught.value)
