"""What holds at every provider alike: whose fault an answer is that says nothing of it, and when to come again."""

from __future__ import annotations

import pytest

from server.providers.alibaba import Alibaba
from server.providers.bfl import BlackForestLabs
from server.providers.byteplus import BytePlus
from server.providers.cloudflare import Cloudflare
from server.providers.fal import Fal
from server.providers.fan_out import FanOut
from server.providers.openai import OpenAI
from server.providers.protocol import (
    FaultKind,
    Pending,
    ProviderRef,
    ProviderUnreachable,
    Refused,
    Unknown,
)
from server.providers.replicate import Replicate
from server.providers.runway import Runway
from tests.integration.providers.canned import reply
from tests.integration.providers.native import HTML, Provider, answered, catalog, says

PROVIDERS = {
    "alibabacloud": (Provider("alibabacloud", Alibaba, below="/api/v1"), "wan/2.7-t2v"),
    "bfl": (Provider("bfl", BlackForestLabs, scheme="", header="x-key"), "bfl/flux-2-pro"),
    "byteplus": (Provider("byteplus", BytePlus, below="/api/v3"), "bytedance/seedance-2.0"),
    "cloudflare": (Provider("cloudflare", Cloudflare), "google/veo-3.1"),
    "fal": (Provider("fal", Fal, scheme="Key"), "bfl/flux-schnell"),
    "openai": (Provider("openai", OpenAI, below="/v1"), "gpt/image-2"),
    "replicate": (Provider("replicate", Replicate), "bfl/flux-schnell"),
    "runway": (Provider("runway", Runway), "runway/gen-4.5"),
}
EACH = pytest.mark.parametrize("name", sorted(PROVIDERS))
POLLED = pytest.mark.parametrize("name", sorted(set(PROVIDERS) - {"cloudflare", "openai"}))
RUNNING = {
    "alibabacloud": {"output": {"task_status": "RUNNING"}},
    "bfl": {"status": "Pending"},
    "byteplus": {"status": "running"},
    "fal": {"status": "IN_PROGRESS"},
    "replicate": {"status": "processing"},
    "runway": {"status": "RUNNING"},
}


@EACH
@pytest.mark.parametrize("body", [HTML, b"", b"[]", b'"no"'])
async def test_a_403_of_a_filter_before_the_provider_is_no_fault_of_our_account(
    name: str, body: bytes
) -> None:
    provider, model = PROVIDERS[name]
    submission, _ = await provider.submitted(provider.job(model), reply("403 Forbidden", body))
    assert isinstance(submission, Refused)
    assert (submission.fault.kind, submission.fault.http_status) == (FaultKind.PROVIDER, 403)


@EACH
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FaultKind.REQUEST),
        (401, FaultKind.ACCOUNT),
        (403, FaultKind.PROVIDER),
        (404, FaultKind.PROVIDER),
        (422, FaultKind.REQUEST),
        (429, FaultKind.THROTTLED),
    ],
)
async def test_a_refusal_in_words_that_cannot_be_read_is_a_refusal(
    name: str, status: int, kind: FaultKind
) -> None:
    provider, model = PROVIDERS[name]
    cut_off = f"HTTP/1.1 {status} X\r\ncontent-length: 100\r\n\r\n{{".encode()
    compressed = reply(f"{status} X", b"{}", "content-encoding: gzip")
    for answer in (cut_off, compressed):
        submission, _ = await provider.submitted(provider.job(model), answer)
        assert isinstance(submission, Refused)
        assert (submission.fault.kind, submission.fault.http_status) == (kind, status)


@EACH
@pytest.mark.parametrize("status", [200, 408, 500, 502, 503])
async def test_any_other_answer_that_cannot_be_read_leaves_the_job_unknown(name: str, status: int) -> None:
    provider, model = PROVIDERS[name]
    cut_off = f"HTTP/1.1 {status} X\r\ncontent-length: 100\r\n\r\n{{".encode()
    submission, _ = await provider.submitted(provider.job(model), cut_off)
    assert isinstance(submission, Unknown)


def _ref(host: str) -> ProviderRef:
    return ProviderRef("j1", dict.fromkeys(("status", "result", "cancel", "poll"), f"{host}/x"))


@POLLED
async def test_a_job_on_its_way_is_not_asked_about_sooner_than_the_provider_wants(name: str) -> None:
    provider, _ = PROVIDERS[name]
    async with answered(lambda _, __: says(RUNNING[name])) as url, provider.at(url) as adapter:
        progress = await adapter.poll(_ref(url))
    assert isinstance(progress, Pending)
    assert progress.retry_after >= catalog().provider(name).min_poll_seconds


@POLLED
@pytest.mark.parametrize("parts", [0, 2])
@pytest.mark.parametrize("body", [{}, {"code": "Throttling.RateQuota", "detail": "Request was throttled."}])
async def test_a_poll_that_is_limited_says_for_how_long(name: str, parts: int, body: object) -> None:
    provider, _ = PROVIDERS[name]
    limited = says(body, "429 Too Many Requests", "retry-after: 17")
    async with answered(lambda _, __: limited) as url, provider.at(url) as adapter:
        ref = _ref(url) if not parts else ProviderRef("j1", {}, (_ref(url),) * parts)
        with pytest.raises(ProviderUnreachable) as caught:
            await FanOut(adapter).poll(ref)
    assert (caught.value.fault.kind, caught.value.fault.retry_after) == (FaultKind.THROTTLED, 17.0)
