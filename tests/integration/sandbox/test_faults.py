"""Every fault that a provider can commit, at the providers where it takes a form of its own."""

from __future__ import annotations

import io

import av
import httpx
import pytest
from PIL import Image, UnidentifiedImageError

from tests.integration.sandbox.driving import BFL_HEADERS, EIGHT, REPLICATE_HEADERS, Sandbox


@pytest.mark.parametrize("provider", EIGHT)
async def test_a_reset_before_the_body_makes_no_job(box: Sandbox, provider: str) -> None:
    await box.knobs(provider, reset_before=1)
    with pytest.raises((httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)):
        await box.submit(provider, "x")
    (entry,) = await box.log()
    assert (entry["provider"], entry["outcome"], entry["job_id"]) == (provider, "reset", None)
    assert (await box.submit(provider, "x")).status_code in (200, 201)


@pytest.mark.parametrize("provider", EIGHT)
async def test_a_reset_after_the_body_makes_no_job_either(box: Sandbox, provider: str) -> None:
    for prompt, knob in (("[[reset]]", 0), ("x", 1)):
        await box.knobs(provider, reset_after=knob)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await box.submit(provider, prompt)
    assert [(entry["outcome"], entry["job_id"]) for entry in await box.log()] == [("reset", None)] * 2


@pytest.mark.parametrize("provider", EIGHT)
async def test_a_lost_answer_has_made_a_job_that_is_billed(box: Sandbox, provider: str) -> None:
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await box.submit(provider, "[[lose]]")
    box.clock.advance(20)
    (entry,) = await box.log()
    assert (entry["outcome"], entry["state"]) == ("lost", "succeeded")
    assert entry["billable"] > 0


async def test_a_rate_limit_can_be_for_ever_and_of_three_kinds(box: Sandbox) -> None:
    await box.knobs("alibabacloud", rate_limit={"times": None, "retry_after_s": 7})
    answers = [await box.submit("alibabacloud", "x") for _ in range(5)]
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(429, "7")}

    said = {}
    for kind in ("rate", "capacity", "quota"):
        await box.knobs("byteplus", rate_limit={"times": 1, "kind": kind})
        said[kind] = (await box.submit("byteplus", "x")).json()["error"]["code"]
    assert said == {
        "rate": "ModelAccountRpmRateLimitExceeded",
        "capacity": "ServerOverloaded",
        "quota": "QuotaExceeded",
    }


@pytest.mark.parametrize("provider", EIGHT)
async def test_an_outage_is_503_and_a_wrong_key_401_everywhere(box: Sandbox, provider: str) -> None:
    assert (await box.submit(provider, "[[outage]]")).status_code == 503
    assert (await box.submit(provider, "[[refuse=auth]]")).status_code == 401
    assert (await box.submit(provider, "[[invalid]]")).status_code in (400, 422)
    await box.knobs(provider, refuse={"as": "billing", "times": 1})
    assert (await box.submit(provider, "x")).status_code in (400, 402, 403, 429)
    assert {(entry["trouble"], entry["job_id"]) for entry in await box.log()} == {
        ("unavailable", None),
        ("auth", None),
        ("invalid", None),
        ("billing", None),
    }


async def test_a_hanging_submit_sends_no_byte_until_its_time_is_up(box: Sandbox) -> None:
    for provider in ("runway", "openai"):
        box.http.timeout = httpx.Timeout(0.4)
        with pytest.raises(httpx.ReadTimeout):
            await box.submit(provider, "[[hang=60000]]")
    box.http.timeout = httpx.Timeout(10)
    assert [entry["outcome"] for entry in await box.log()] == ["accepted", "accepted"]


async def test_a_late_success_comes_after_a_failure_and_is_billed(box: Sandbox) -> None:
    task_id = (await box.byteplus_film("[[slow=1000]] [[late=5000]]")).json()["id"]
    box.clock.advance(2)
    assert (await box.byteplus_task(task_id))["status"] == "failed"
    assert [entry["billable"] for entry in await box.log()] == [0]
    box.clock.advance(5)
    assert (await box.byteplus_task(task_id))["status"] == "succeeded"
    assert [entry["billable"] > 0 for entry in await box.log()] == [True]


async def test_a_late_success_comes_after_a_cancel(box: Sandbox) -> None:
    await box.knobs("replicate", late_success_ms=5_000)
    job = (await box.replicate({"prompt": "[[slow=60000]]"})).json()
    canceled = await box.http.post(job["urls"]["cancel"], headers=REPLICATE_HEADERS)
    assert canceled.json()["status"] == "canceled"
    box.clock.advance(6)
    assert (await box.prediction(job["id"]))["status"] == "succeeded"


@pytest.mark.parametrize(("fault", "status"), [("forbidden", 403), ("missing", 404), ("expired", 403)])
async def test_an_output_cannot_be_fetched(box: Sandbox, fault: str, status: int) -> None:
    done = await box.replicate_result({"prompt": f"[[output={fault}]]"})
    assert done["status"] == "succeeded"
    assert (await box.http.get(done["output"][0])).status_code == status


async def test_an_output_is_not_what_was_asked(box: Sandbox) -> None:
    async def bytes_of(fault: str) -> bytes:
        await box.knobs("bfl", output=fault)
        body = {"prompt": "x", "width": 640, "height": 640, "output_format": "png"}
        created = await box.http.post("/v1/flux-2-pro", json=body, headers=BFL_HEADERS)
        box.clock.advance(10)
        sample = (await box.bfl_result(created.json()["id"]))["result"]["sample"]
        answer = await box.http.get(sample)
        assert answer.headers["content-type"] == "image/png"
        return answer.content

    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(await bytes_of("garbage")))
    assert await bytes_of("empty") == b""
    with (
        Image.open(io.BytesIO(await bytes_of("truncated"))) as picture,
        pytest.raises(OSError, match="truncated"),
    ):
        picture.load()
    assert Image.open(io.BytesIO(await bytes_of("wrongsize"))).size == (320, 213)
    assert Image.open(io.BytesIO(await bytes_of("wrongformat"))).format == "JPEG"


async def test_a_film_of_the_wrong_length_or_ratio_or_no_film_at_all(box: Sandbox) -> None:
    async def film(fault: str) -> bytes:
        task_id = (await box.byteplus_film(f"[[output={fault}]]", duration=4)).json()["id"]
        box.clock.advance(10)
        return (await box.http.get((await box.byteplus_task(task_id))["content"]["video_url"])).content

    with av.open(io.BytesIO(await film("short")), "r") as container:
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(2, abs=0.2)
    with av.open(io.BytesIO(await film("wrongsize")), "r") as container:
        stream = container.streams.video[0]
        assert stream.width / stream.height > 2
    assert Image.open(io.BytesIO(await film("wrongformat"))).format == "PNG"


async def test_a_batch_comes_in_part_and_only_the_part_is_billed(box: Sandbox) -> None:
    done = await box.replicate_result({"prompt": "[[partial=2]]", "num_outputs": 4})
    assert (done["status"], len(done["output"])) == ("succeeded", 2)
    await box.knobs("fal", partial=1)
    assert len((await box.fal_result({"prompt": "x", "num_images": 3}))["images"]) == 1
    assert [entry["billable"] for entry in await box.log()] == [6_000, 3_000]


async def test_of_several_calls_with_one_prompt_only_so_many_succeed(box: Sandbox) -> None:
    for _ in range(4):
        assert (await box.submit("bfl", "a cube [[partial=2]]")).status_code == 200
    box.clock.advance(10)
    assert [entry["state"] for entry in await box.log()] == ["succeeded", "succeeded", "failed", "failed"]


async def test_the_cost_that_is_billed_and_said_differs_from_the_list(box: Sandbox) -> None:
    assert (await box.submit("bfl", "[[cost=2.5]]")).json()["cost"] == 7.5
    created = await box.submit("runway", "[[cost=3]]")
    assert created.json()["estimatedCost"]["credits"] == 5.0
    box.clock.advance(10)
    assert (await box.runway_task(created.json()["id"]))["cost"] == {"credits": 15}
    assert [entry["billable"] for entry in await box.log()] == [75_000, 150_000]


async def test_a_flapping_provider_is_out_and_back_by_the_clock(box: Sandbox) -> None:
    await box.knobs("openai", flap={"down_ms": 5_000, "up_ms": 5_000, "for_ms": 20_000})
    seen = []
    for _ in range(5):
        seen.append((await box.submit("openai", "x")).status_code)
        # A held call moves the clock by ten seconds itself.
        box.clock.advance(5 if seen[-1] == 503 else 0)
    assert seen[:2] == [503, 200]
    assert seen[-1] == 200


async def test_a_slow_cancel_loses_against_the_end(box: Sandbox) -> None:
    lost = (await box.replicate({"prompt": "[[slow=4000]] [[slowcancel=9000]]"})).json()
    won = (await box.replicate({"prompt": "[[slow=8000]] [[slowcancel=1000]]"})).json()
    for job in (lost, won):
        answer = await box.http.post(job["urls"]["cancel"], headers=REPLICATE_HEADERS)
        assert answer.json()["status"] == "starting"
    box.clock.advance(10)
    assert (await box.prediction(lost["id"]))["status"] == "succeeded"
    assert (await box.prediction(won["id"]))["status"] == "canceled"


async def test_fal_flags_a_picture_that_it_delivers(box: Sandbox) -> None:
    flagged = await box.fal_result({"prompt": "[[moderate=output]]", "num_images": 2})
    assert flagged["has_nsfw_concepts"] == [True, True]
    assert (await box.http.get(flagged["images"][0]["url"])).status_code == 200
    refused = await box.replicate_result({"prompt": "[[moderate=output]]"})
    assert refused["error"].startswith("NSFW content detected")


async def test_the_bill_adds_up_what_each_provider_charges(box: Sandbox) -> None:
    for provider in EIGHT:
        await box.submit(provider, "x")
    await box.submit("bfl", "[[outage]]")
    box.clock.advance(20)
    bill = (await box.http.get("/_sandbox/bill")).json()["providers"]
    assert bill["bfl"] == {"submitted": 2, "accepted": 1, "paid": 1, "billable": 30_000}
    assert {name: each["paid"] for name, each in bill.items()} == dict.fromkeys(EIGHT, 1)


async def test_alibaba_has_two_names(box: Sandbox) -> None:
    assert (await box.knobs("alibaba", outage=True)).status_code == 200
    assert (await box.alibaba_film("x")).status_code == 503
    await box.knobs("alibabacloud", outage=False)
    assert (await box.alibaba_film("[[outage@alibaba]]")).status_code == 503
    assert len(await box.log(provider="alibaba")) == 2


async def test_one_job_too_many_waits_under_a_name_of_its_own(box: Sandbox) -> None:
    task = (await box.submit("runway", "[[throttled]]")).json()["id"]
    film = (await box.alibaba_film("[[throttled]]")).json()["output"]["task_id"]
    assert (await box.runway_task(task))["status"] == "THROTTLED"
    assert (await box.alibaba_task(film))["output"]["task_status"] == "SUSPENDED"
    box.clock.advance(10)
    assert (await box.runway_task(task))["status"] == "SUCCEEDED"
