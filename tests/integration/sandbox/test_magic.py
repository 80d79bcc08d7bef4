from __future__ import annotations

import httpx
import pytest

from sandbox.magic import read_magic
from tests.integration.sandbox.driving import Sandbox


async def test_fail_ends_the_job_as_a_provider_failure(box: Sandbox) -> None:
    failed = await box.replicate_result({"prompt": "a cube [[fail]] in the rain"})
    assert (failed["status"], failed["output"]) == ("failed", None)
    assert failed["error"]

    submitted = (await box.fal({"prompt": "[[fail]]"})).json()
    box.clock.advance(10)
    status = (await box.fal_get(submitted["status_url"])).json()
    assert (status["status"], status["error_type"]) == ("COMPLETED", "internal_server_error")
    result = await box.fal_get(submitted["response_url"])
    assert (result.status_code, result.headers["x-fal-retryable"]) == (500, "true")


async def test_a_scoped_token_concerns_only_its_provider(box: Sandbox) -> None:
    prompt = "x [[fail@fal]] [[slow@replicate=8000]]"
    created = (await box.replicate({"prompt": prompt})).json()
    submitted = (await box.fal({"prompt": prompt})).json()
    box.clock.advance(7)
    assert (await box.prediction(created["id"]))["status"] == "processing"
    assert (await box.fal_get(submitted["response_url"])).status_code == 500
    box.clock.advance(2)
    assert (await box.prediction(created["id"]))["status"] == "succeeded"


async def test_moderate_is_a_content_policy_refusal(box: Sandbox) -> None:
    assert "(E005)" in (await box.replicate_result({"prompt": "[[moderate]]"}))["error"]


@pytest.mark.parametrize("prompt", ["[[outage=replicate]]", "[[outage@replicate]]", "[[OUTAGE=replicate]]"])
async def test_outage_of_one_provider_leaves_the_other(box: Sandbox, prompt: str) -> None:
    assert (await box.replicate({"prompt": prompt})).status_code == 503
    assert (await box.fal({"prompt": prompt})).status_code == 200


async def test_outage_without_a_name_is_every_provider(box: Sandbox) -> None:
    assert (await box.replicate({"prompt": "[[outage]]"})).status_code == 503
    assert (await box.fal({"prompt": "[[outage]]"})).status_code == 503
    assert [entry["job_id"] for entry in await box.log()] == [None, None]


async def test_invalid_is_422_on_the_prompt(box: Sandbox) -> None:
    refused = await box.replicate({"prompt": "[[invalid]]"})
    assert (refused.status_code, refused.json()["invalid_fields"][0]["field"]) == (422, "input.prompt")
    refused = await box.fal({"prompt": "[[invalid]]"})
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "prompt"])


async def test_ratelimit_is_429_with_retry_after(box: Sandbox) -> None:
    for limited in (
        await box.replicate({"prompt": "[[ratelimit]]"}),
        await box.fal({"prompt": "[[ratelimit]]"}),
    ):
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")


async def test_lose_accepts_the_job_and_closes_the_connection(box: Sandbox) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await box.fal({"prompt": "[[lose]]"})
    assert [(entry["outcome"], entry["magic"]) for entry in await box.log()] == [("lost", ["lose"])]


def test_unknown_tokens_are_plain_text_and_never_reported() -> None:
    assert read_magic("[[secret]] [[fail=5]] [[slow=soon]] [[fail]]", "fal").names == ["fail"]
