from __future__ import annotations

import httpx
import pytest

from tests.integration.sandbox.driving import EIGHT, REPLICATE_HEADERS, Sandbox


async def test_knobs_are_read_changed_one_by_one_and_reset(box: Sandbox) -> None:
    before = (await box.http.get("/_sandbox/knobs")).json()
    assert list(before) == EIGHT
    assert (await box.knobs("fal", outage=True)).status_code == 200
    changed = (await box.knobs("fal", failure_rate=0.5)).json()
    assert (changed["outage"], changed["failure_rate"]) == (True, 0.5)
    assert (await box.http.get("/_sandbox/knobs")).json()["replicate"] == before["replicate"]
    assert (await box.knobs("fal", outage=None)).json()["outage"] is False
    await box.http.post("/_sandbox/reset")
    assert (await box.http.get("/_sandbox/knobs")).json() == before


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"latency": 5}, "Unknown knob 'latency'"),
        ({"failure_rate": 2}, "Knob 'failure_rate'"),
        ({"outage": "yes"}, "Knob 'outage'"),
        ({"latency_ms": [900, 300]}, "shortest latency first"),
        ({"submit_status": {"status": 200}}, "Knob 'submit_status.status'"),
        ({"rate_limit": {"often": 3}}, "Knob 'rate_limit.often'"),
    ],
)
async def test_a_wrong_knob_is_refused_with_a_sentence_and_changes_nothing(
    box: Sandbox, wanted: dict[str, object], said: str
) -> None:
    before = (await box.http.get("/_sandbox/knobs")).json()
    refused = await box.knobs("replicate", **wanted)
    assert refused.status_code == 422
    assert said in refused.json()["detail"]
    assert (await box.http.get("/_sandbox/knobs")).json() == before


async def test_an_unknown_provider_is_404(box: Sandbox) -> None:
    refused = await box.knobs("nobody", outage=True)
    assert refused.status_code == 404
    assert "runway or bfl" in refused.json()["detail"]


async def test_an_outage_answers_every_call_to_that_provider_with_503(box: Sandbox) -> None:
    job_id = (await box.replicate({"prompt": "x"})).json()["id"]
    await box.knobs("replicate", outage=True)
    out = await box.replicate({"prompt": "x"})
    assert (out.status_code, out.json()["title"]) == (503, "Service unavailable")
    poll = await box.http.get(f"/replicate/v1/predictions/{job_id}", headers=REPLICATE_HEADERS)
    assert poll.status_code == 503
    assert (await box.fal({"prompt": "x"})).status_code == 200

    await box.knobs("fal", outage=True)
    out = await box.fal({"prompt": "x"})
    assert (out.status_code, out.headers["x-fal-retryable"]) == (503, "true")


async def test_latency_is_the_knobs_span(box: Sandbox) -> None:
    await box.knobs("fal", latency_ms=[4_000, 4_000])
    status_url = (await box.fal({"prompt": "x"})).json()["status_url"]
    box.clock.advance(3.9)
    assert (await box.fal_get(status_url)).status_code == 202
    box.clock.advance(0.2)
    assert (await box.fal_get(status_url)).status_code == 200


async def test_the_failure_rate_fails_the_same_jobs_for_the_same_seed(box: Sandbox) -> None:
    async def fates(seed: int) -> list[str]:
        await box.http.post("/_sandbox/reset")
        await box.knobs("replicate", failure_rate=0.5, seed=seed)
        for _ in range(30):
            await box.replicate({"prompt": "x"})
        box.clock.advance(10)
        return [job["state"] for job in (await box.http.get("/_sandbox/jobs")).json()["jobs"]]

    first = await fates(1)
    assert set(first) == {"succeeded", "failed"}
    assert await fates(1) == first
    assert await fates(2) != first


async def test_forced_statuses_run_out(box: Sandbox) -> None:
    await box.knobs("replicate", submit_status={"status": 402, "times": 2})
    answers = [await box.replicate({"prompt": "x"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [402, 402, 201]
    assert answers[0].json()["title"] == "Insufficient credit"
    await box.knobs("fal", submit_status={"status": 500})
    assert [(await box.fal({"prompt": "x"})).status_code for _ in range(2)] == [500, 200]


async def test_rate_limits_run_out_and_say_when_to_come_back(box: Sandbox) -> None:
    await box.knobs("replicate", rate_limit={"times": 1, "retry_after_s": 30})
    limited = await box.replicate({"prompt": "x"})
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "30")
    assert limited.json()["detail"] == "Request was throttled. Your rate limit resets in ~30s."
    assert (await box.replicate({"prompt": "x"})).status_code == 201

    await box.knobs("fal", rate_limit={"times": 1})
    limited = await box.fal({"prompt": "x"})
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")


async def test_a_lost_reply_makes_the_job_and_closes_the_connection(box: Sandbox) -> None:
    await box.knobs("replicate", lose_reply=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await box.replicate({"prompt": "x"})
    box.clock.advance(10)
    (entry,) = await box.log()
    assert (entry["outcome"], entry["state"], entry["billable"]) == ("lost", "succeeded", 3_000)
    assert (await box.prediction(entry["job_id"]))["status"] == "succeeded"
    assert (await box.replicate({"prompt": "x"})).status_code == 201


async def test_a_hanging_submit_has_made_its_job(box: Sandbox) -> None:
    await box.knobs("fal", hang_ms=30_000)
    with pytest.raises(httpx.ReadTimeout):
        await box.http.post(
            "/fal/fal-ai/flux/dev",
            json={"prompt": "x"},
            headers={"authorization": "Key k"},
            timeout=0.3,
        )
    assert [entry["outcome"] for entry in await box.log()] == ["accepted"]


async def test_moderation_refuses_in_each_providers_words(box: Sandbox) -> None:
    await box.knobs("replicate", moderation=True)
    refused = await box.replicate_result({"prompt": "x"})
    assert refused["status"] == "failed"
    assert "flagged as sensitive" in refused["error"]
    assert "(E005)" in refused["error"]

    await box.knobs("fal", moderation=True)
    submitted = (await box.fal({"prompt": "x"})).json()
    box.clock.advance(10)
    status = (await box.fal_get(submitted["status_url"])).json()
    assert (status["status"], status["error_type"]) == ("COMPLETED", "content_policy_violation")
    result = await box.fal_get(submitted["response_url"])
    assert (result.status_code, result.json()["detail"][0]["type"]) == (422, "content_policy_violation")


async def test_an_ignored_cancel_ends_in_success_and_is_billed(box: Sandbox) -> None:
    await box.knobs("replicate", ignore_cancel=True)
    job = (await box.replicate({"prompt": "x [[slow=4000]]"})).json()
    box.clock.advance(2)
    canceled = await box.http.post(job["urls"]["cancel"], headers=REPLICATE_HEADERS)
    assert (canceled.status_code, canceled.json()["status"]) == (200, "processing")
    box.clock.advance(5)
    assert (await box.prediction(job["id"]))["status"] == "succeeded"
    assert [entry["billable"] for entry in await box.log()] == [3_000]
