"""Answers that no provider should give: none of them makes us pay twice, wait for ever, or give our key away."""

from __future__ import annotations

import gzip
import json

import pytest

from babysea.common.v1 import error_reason_pb2 as reasons
from server.providers.protocol import (
    CancelOutcome,
    Failed,
    FaultKind,
    Finished,
    Pending,
    Progress,
    ProviderRef,
    ProviderUnreachable,
    Refused,
    Unknown,
)
from tests.integration.providers.outside import KEY, TOKEN, Outside, adapter, canned, closed_port, reply

BOTH = pytest.mark.parametrize("provider", ["replicate", "fal"])
ELSEWHERE = dict.fromkeys(("status_url", "response_url", "cancel_url"), "http://evil.example/x")
HTML = b"<html>bad gateway</html>"


@BOTH
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 201 Cre",
        b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{",
        b"nonsense\r\n\r\n",
        reply("200 OK", b"not json"),
        reply("200 OK", b"[]"),
        reply("200 OK", b"{}"),
        reply("200 OK", b'{"id": 5, "request_id": 5}'),
        reply("200 OK", b'{"id": "../../other"}'),
        reply("200 OK", json.dumps({"request_id": "r1", **ELSEWHERE}).encode()),
        reply("200 OK", b'{"x": "' + b"y" * 1_100_000 + b'"}'),
        reply("200 OK", gzip.compress(b"{}"), "content-encoding: gzip"),
        reply("502 Bad Gateway", HTML),
        reply("504 Gateway Timeout", HTML),
        reply("524 Timeout", HTML),
    ],
)
async def test_a_submit_without_a_usable_answer_is_unknown(
    outside: Outside, provider: str, answer: bytes
) -> None:
    async with canned(answer) as (url, seen), outside.providers(base=url) as providers:
        submission = await adapter(providers, provider).submit(outside.job(provider))
    assert isinstance(submission, Unknown)
    assert len(seen) == 1


@BOTH
@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
async def test_a_redirect_is_not_followed(outside: Outside, provider: str, status: str) -> None:
    target = f"location: http://127.0.0.1:{closed_port()}/elsewhere"
    async with canned(reply(status, b"", target)) as (url, seen), outside.providers(base=url) as providers:
        submission = await adapter(providers, provider).submit(outside.job(provider))
    assert isinstance(submission, Refused)
    assert len(seen) == 1


async def test_fal_urls_on_another_host_never_get_our_key(outside: Outside) -> None:
    async with canned(reply("200 OK", b'{"status": "OK"}')) as (url, seen):
        foreign = ProviderRef("r1", {"status": f"{url}/s", "result": f"{url}/r", "cancel": f"{url}/c"})
        async with outside.providers() as providers:
            with pytest.raises(ProviderUnreachable):
                await adapter(providers, "fal").poll(foreign)
            assert await adapter(providers, "fal").cancel(foreign) is CancelOutcome.FAILED
    assert seen == []


@pytest.mark.parametrize(
    "path",
    [
        "https://127.0.0.1:{port}/x",
        "http://user@127.0.0.1:{port}/x",
        "http://127.0.0.1:{port}.evil.example/x",
    ],
)
async def test_a_url_that_only_looks_like_fals_is_not_usable(outside: Outside, path: str) -> None:
    async with canned(b"") as (url, _), outside.providers(base=url) as providers:
        twisted = path.replace("{port}", url.rpartition(":")[2])
        ref = ProviderRef("r1", {"status": twisted, "result": twisted, "cancel": twisted})
        with pytest.raises(ProviderUnreachable):
            await adapter(providers, "fal").poll(ref)


@BOTH
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        reply("200 OK", b"{}"),
        reply("200 OK", b'{"status": "dancing"}'),
        reply("401 Unauthorized", b"{}"),
        reply("429 Too Many Requests", b"{}", "retry-after: 7"),
        reply("500 Internal Server Error", HTML),
        reply("502 Bad Gateway", HTML),
    ],
)
async def test_an_unusable_answer_to_a_poll_keeps_the_job(
    outside: Outside, provider: str, answer: bytes
) -> None:
    async with canned(answer) as (url, _), outside.providers(base=url) as providers:
        ref = ProviderRef("r1", dict.fromkeys(("status", "result", "cancel"), f"{url}/x"))
        with pytest.raises(ProviderUnreachable) as caught:
            await adapter(providers, provider).poll(ref)
        if b"retry-after" in answer:
            assert caught.value.fault.retry_after == 7.0


@pytest.mark.parametrize(
    "output", [None, "", "not a url", [], ["http://a.example/x.png", None], [["http://a.example"]], {"a": 1}]
)
async def test_a_replicate_success_without_files_is_a_failure(outside: Outside, output: object) -> None:
    body = json.dumps({"id": "r1", "status": "succeeded", "output": output}).encode()
    async with canned(reply("200 OK", body)) as (url, _), outside.providers(base=url) as providers:
        ended = await adapter(providers, "replicate").poll(ProviderRef("r1", {}))
    assert isinstance(ended, Failed)
    assert ended.fault.reason == reasons.ERROR_REASON_PROVIDER_INVALID_RESPONSE


async def test_an_aborted_prediction_ran_out_of_time(outside: Outside) -> None:
    answer = reply("200 OK", b'{"status": "aborted"}')
    async with canned(answer) as (url, _), outside.providers(base=url) as providers:
        ended = await adapter(providers, "replicate").poll(ProviderRef("r1", {}))
    assert isinstance(ended, Failed)
    assert ended.fault.reason == reasons.ERROR_REASON_PROVIDER_TIMEOUT


async def _fal_result(outside: Outside, status: str, body: object) -> Progress:
    """What a Fal job ends as when its status is COMPLETED and its result is this answer."""
    done, result = reply("200 OK", b'{"status": "COMPLETED"}'), reply(status, json.dumps(body).encode())
    async with canned(done, result) as (url, _), outside.providers(base=url) as providers:
        ref = ProviderRef("r1", dict.fromkeys(("status", "result", "cancel"), f"{url}/x"))
        return await adapter(providers, "fal").poll(ref)


async def test_a_flagged_picture_is_a_refusal_and_not_a_success(outside: Outside) -> None:
    body = {"images": [{"url": "http://a.example/x.png"}], "has_nsfw_concepts": [True]}
    ended = await _fal_result(outside, "200 OK", body)
    assert isinstance(ended, Failed)
    assert ended.fault.reason == reasons.ERROR_REASON_CONTENT_POLICY_VIOLATION


async def test_only_the_unflagged_pictures_are_delivered(outside: Outside) -> None:
    body = {
        "images": [{"url": "http://a.example/1.png"}, {"url": "http://a.example/2.png"}],
        "has_nsfw_concepts": [True, False],
    }
    ended = await _fal_result(outside, "200 OK", body)
    assert isinstance(ended, Finished)
    assert [output.url for output in ended.outputs] == ["http://a.example/2.png"]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("content_policy_violation", reasons.ERROR_REASON_CONTENT_POLICY_VIOLATION),
        ("image_too_small", reasons.ERROR_REASON_FILE_TOO_SMALL),
        ("file_download_error", reasons.ERROR_REASON_FILE_DOWNLOAD_ERROR),
        ("one_of", reasons.ERROR_REASON_INVALID_INPUT),
    ],
)
async def test_fals_error_types_become_our_reasons(outside: Outside, kind: str, reason: int) -> None:
    ended = await _fal_result(
        outside, "422 Unprocessable Entity", {"detail": [{"type": kind, "msg": "secret"}]}
    )
    assert isinstance(ended, Failed)
    assert ended.fault.reason == reason
    assert "secret" not in ended.fault.message


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_stands_before_fals_result_keeps_the_job(outside: Outside, status: int) -> None:
    with pytest.raises(ProviderUnreachable):
        await _fal_result(outside, f"{status} X", "html")


@pytest.mark.parametrize("status", [302, 400, 401, 403, 405, 409, 418, 500, 501])
async def test_a_completed_request_whose_result_is_an_error_has_failed(outside: Outside, status: int) -> None:
    for body in ({"detail": "Internal Server Error"}, "html"):
        ended = await _fal_result(outside, f"{status} X", body)
        assert isinstance(ended, Failed)
        assert (ended.fault.kind, ended.fault.http_status) == (FaultKind.PROVIDER, status)


async def test_the_credential_goes_out_in_the_header_of_each_provider(outside: Outside) -> None:
    answer = reply("200 OK", b'{"status": "IN_QUEUE"}')
    async with canned(answer) as (url, seen), outside.providers(base=url) as providers:
        ref = ProviderRef("r1", dict.fromkeys(("status", "result", "cancel"), f"{url}/x"))
        assert isinstance(await adapter(providers, "fal").poll(ref), Pending)
        with pytest.raises(ProviderUnreachable):
            await adapter(providers, "replicate").poll(ref)
    assert f"authorization: key {KEY}".encode() in seen[0].lower()
    assert f"authorization: bearer {TOKEN}".encode() in seen[1].lower()
