"""What providers name, job ids and URLs, is taken only where every record of ours can hold it."""

from __future__ import annotations

import pytest

from server.providers.alibaba import Alibaba
from server.providers.bfl import BlackForestLabs
from server.providers.byteplus import BytePlus
from server.providers.calls import is_url
from server.providers.cloudflare import Cloudflare
from server.providers.fal import Fal
from server.providers.protocol import (
    Accepted,
    Failed,
    Finished,
    Job,
    Progress,
    ProviderRef,
    Submission,
    Unknown,
)
from server.providers.replicate import Replicate
from server.providers.runway import Runway
from tests.integration.providers.native import Provider, answered, says

FAL = Provider("fal", Fal, scheme="Key")
BFL = Provider("bfl", BlackForestLabs, scheme="", header="x-key")
BYTEPLUS = Provider("byteplus", BytePlus, below="/api/v3")
CLOUDFLARE = Provider("cloudflare", Cloudflare)
GOOD = "https://files.example/a.png?sig=%C3%A4"
UNSTORABLE = ["a b", "a\0", "a\ud800", "aä", "a\u202e", "a\x7f", "a\n"]
BAD = [f"https://files.example/{name}" for name in UNSTORABLE]


async def _fal_submission(request_id: str, tail: str = "") -> Submission:
    async with (
        answered(
            lambda _, url: says(
                {
                    "request_id": request_id,
                    "status_url": f"{url}/status",
                    "response_url": f"{url}/result{tail}",
                    "cancel_url": f"{url}/cancel",
                }
            )
        ) as url,
        FAL.at(url) as adapter,
    ):
        return await adapter.submit(FAL.job("bfl/flux-schnell"))


async def test_a_fal_request_is_accepted_under_an_id_as_fal_gives_them() -> None:
    submission = await _fal_submission("764cabcf-b745-4b3e-ae38-1200304cf45b")
    assert isinstance(submission, Accepted)


@pytest.mark.parametrize("request_id", ["", "../r", "a/b", "a" * 129, *UNSTORABLE])
async def test_a_fal_request_of_another_id_is_unknown(request_id: str) -> None:
    assert isinstance(await _fal_submission(request_id), Unknown)


@pytest.mark.parametrize("tail", UNSTORABLE)
async def test_a_fal_request_with_a_url_that_no_record_takes_is_unknown(tail: str) -> None:
    assert isinstance(await _fal_submission("r1", tail), Unknown)


@pytest.mark.parametrize("tail", UNSTORABLE)
async def test_a_task_of_black_forest_labs_at_such_a_url_is_unknown(tail: str) -> None:
    async with (
        answered(lambda _, url: says({"id": "b1", "polling_url": f"{url}/{tail}"})) as url,
        BFL.at(url) as adapter,
    ):
        assert isinstance(await adapter.submit(BFL.job("bfl/flux-2-pro")), Unknown)


@pytest.mark.parametrize("url", BAD)
async def test_outputs_at_such_a_url_are_none(url: str) -> None:
    assert is_url(GOOD)
    assert not is_url(url)
    for provider, body in _finished(url):
        assert isinstance(await _polled(provider, body), Failed)
    for provider, body in _finished(GOOD):
        assert isinstance(await _polled(provider, body), Finished)


@pytest.mark.parametrize("url", BAD)
async def test_outputs_that_come_at_once_at_such_a_url_are_unknown(url: str) -> None:
    for provider, job, body in (
        (BYTEPLUS, BYTEPLUS.job("bytedance/seedream-4.5"), {"data": [{"url": url}]}),
        (CLOUDFLARE, CLOUDFLARE.job("google/veo-3.1"), {"state": "Completed", "result": {"video": url}}),
    ):
        assert isinstance(await _submitted(provider, job, body), Unknown)


def _finished(url: str) -> list[tuple[Provider, object]]:
    alibaba = Provider("alibabacloud", Alibaba, below="/api/v1")
    return [
        (alibaba, {"output": {"task_status": "SUCCEEDED", "video_url": url}}),
        (BYTEPLUS, {"status": "succeeded", "content": {"video_url": url}}),
        (BFL, {"status": "Ready", "result": {"sample": url}}),
        (FAL, {"status": "COMPLETED", "video": {"url": url}}),
        (Provider("replicate", Replicate), {"status": "succeeded", "output": [url]}),
        (Provider("runway", Runway), {"status": "SUCCEEDED", "output": [url]}),
    ]


async def _polled(provider: Provider, body: object) -> Progress:
    async with answered(lambda _, __: says(body)) as host, provider.at(host) as adapter:
        return await adapter.poll(
            ProviderRef("j1", dict.fromkeys(("status", "result", "cancel"), f"{host}/x"))
            if provider is FAL
            else ProviderRef("j1", {})
        )


async def _submitted(provider: Provider, job: Job, body: object) -> Submission:
    submission, _ = await provider.submitted(job, says(body))
    return submission
