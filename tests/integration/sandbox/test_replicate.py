from __future__ import annotations

import asyncio

import pytest

from tests.integration.sandbox.driving import FLUX, REPLICATE_HEADERS, Sandbox


async def test_a_prediction_goes_from_starting_over_processing_to_succeeded(box: Sandbox) -> None:
    created = await box.replicate({"prompt": "a red cube [[slow=8000]]", "num_outputs": 2, "seed": 7})
    assert created.status_code == 201
    body = created.json()
    assert (body["status"], body["output"], body["model"]) == ("starting", None, FLUX)
    assert body["input"]["num_outputs"] == 2
    assert body["urls"]["get"] == f"{box.url}/replicate/v1/predictions/{body['id']}"

    box.clock.advance(3)
    assert (await box.prediction(body["id"]))["status"] == "processing"
    box.clock.advance(6)
    done = await box.prediction(body["id"])
    assert done["status"] == "succeeded"
    assert done["error"] is None
    assert len(done["output"]) == 2
    assert all(url.startswith(f"{box.url}/_files/") for url in done["output"])
    assert done["metrics"]["total_time"] == pytest.approx(8, abs=0.01)
    assert done["logs"] == "Using seed: 7\n"


async def test_a_video_comes_back_as_one_url(box: Sandbox) -> None:
    done = await box.replicate_result({"prompt": "waves", "duration": 4}, "google/veo-3.1")
    assert isinstance(done["output"], str)
    assert done["output"].endswith(".mp4")


async def test_prefer_wait_answers_201_when_done_and_202_when_not(box: Sandbox) -> None:
    done = await box.replicate({"prompt": "x [[slow=0]]"}, headers={"prefer": "wait=5"})
    assert (done.status_code, done.json()["status"]) == (201, "succeeded")

    waiting = asyncio.create_task(box.replicate({"prompt": "x [[slow=5000]]"}, headers={"prefer": "wait"}))
    while not (jobs := (await box.http.get("/_sandbox/jobs")).json()["jobs"])[1:]:
        await asyncio.sleep(0.01)
    assert jobs[1]["state"] == "queued"
    box.clock.advance(6)
    assert (await waiting).json()["status"] == "succeeded"

    late = await box.replicate({"prompt": "x [[slow=60000]]"}, headers={"prefer": "wait=1"})
    assert (late.status_code, late.json()["status"]) == (202, "starting")


async def test_a_version_names_the_same_model(box: Sandbox) -> None:
    model = await box.http.get(f"/replicate/v1/models/{FLUX}", headers=REPLICATE_HEADERS)
    version = model.json()["latest_version"]["id"]
    assert (
        "prompt"
        in model.json()["latest_version"]["openapi_schema"]["components"]["schemas"]["Input"]["required"]
    )

    for named in (version, f"{FLUX}:{version}", FLUX):
        created = await box.http.post(
            "/replicate/v1/predictions",
            json={"version": named, "input": {"prompt": "x"}},
            headers=REPLICATE_HEADERS,
        )
        assert (created.status_code, created.json()["version"]) == (201, version)

    unknown = await box.http.post(
        "/replicate/v1/predictions",
        json={"version": "0" * 64, "input": {"prompt": "x"}},
        headers=REPLICATE_HEADERS,
    )
    assert unknown.status_code == 422
    assert unknown.json()["invalid_fields"][0]["field"] == "version"


async def test_the_list_is_newest_first_and_pages_both_ways(box: Sandbox) -> None:
    for number in range(103):
        await box.replicate({"prompt": "x", "seed": number})
    first = (await box.http.get("/replicate/v1/predictions", headers=REPLICATE_HEADERS)).json()
    assert [job["input"]["seed"] for job in first["results"]] == list(range(102, 2, -1))
    assert first["previous"] is None

    second = (await box.http.get(first["next"], headers=REPLICATE_HEADERS)).json()
    assert [job["input"]["seed"] for job in second["results"]] == [2, 1, 0]
    assert second["next"] is None
    back = (await box.http.get(second["previous"], headers=REPLICATE_HEADERS)).json()
    assert back["results"] == first["results"]


async def test_cancel_stops_a_running_prediction_and_leaves_a_final_one(box: Sandbox) -> None:
    running = (await box.replicate({"prompt": "x [[slow=9000]]"})).json()
    box.clock.advance(5)
    canceled = await box.http.post(running["urls"]["cancel"], headers=REPLICATE_HEADERS)
    assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
    box.clock.advance(60)
    assert (await box.prediction(running["id"]))["status"] == "canceled"

    done = await box.replicate_result({"prompt": "x"})
    after = await box.http.post(done["urls"]["cancel"], headers=REPLICATE_HEADERS)
    assert (after.status_code, after.json()["status"]) == (200, "succeeded")


async def test_cancel_after_ends_a_prediction_at_its_deadline(box: Sandbox) -> None:
    queued = await box.replicate({"prompt": "x [[slow=60000]]"}, headers={"cancel-after": "10s"})
    running = await box.replicate({"prompt": "x [[slow=30000]]"}, headers={"cancel-after": "20s"})
    assert queued.json()["deadline"] is not None
    box.clock.advance(25)
    assert (await box.prediction(queued.json()["id"]))["status"] == "aborted"
    assert (await box.prediction(running.json()["id"]))["status"] == "canceled"


async def test_input_and_output_are_removed_an_hour_after_the_end(box: Sandbox) -> None:
    done = await box.replicate_result({"prompt": "x"})
    box.clock.advance(3_600)
    gone = await box.prediction(done["id"])
    assert (gone["status"], gone["data_removed"]) == ("succeeded", True)
    assert (gone["input"], gone["output"]) == ({}, None)
    assert (await box.http.get(done["output"][0])).status_code == 404


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "input.prompt"),
        ({"prompt": 5}, "input.prompt"),
        ({"prompt": "x", "guidance_scale": 3}, "input.guidance_scale"),
        ({"prompt": "x", "num_outputs": 5}, "input.num_outputs"),
        ({"prompt": "x", "num_outputs": True}, "input.num_outputs"),
        ({"prompt": "x", "num_outputs": "1"}, "input.num_outputs"),
        ({"prompt": "x", "aspect_ratio": "7:5"}, "input.aspect_ratio"),
        ({"prompt": "x", "output_format": "gif"}, "input.output_format"),
        ({"prompt": "x", "seed": None}, "input.seed"),
    ],
)
async def test_input_outside_the_schema_is_refused_and_named(
    box: Sandbox, given: dict[str, object], field: str
) -> None:
    refused = await box.replicate(given)
    assert refused.status_code == 422
    body = refused.json()
    assert (body["title"], body["status"]) == ("Input validation failed", 422)
    assert [wrong["field"] for wrong in body["invalid_fields"]] == [field]
    assert field in body["detail"]
    assert (await box.http.get("/_sandbox/jobs")).json()["jobs"] == []


async def test_fields_around_the_input_are_strict_too(box: Sandbox) -> None:
    body = {"input": {"prompt": "x"}, "webhook": "ftp://x", "webhook_events_filter": ["done"], "wait": 5}
    refused = await box.http.post(
        f"/replicate/v1/models/{FLUX}/predictions", json=body, headers=REPLICATE_HEADERS
    )
    assert refused.status_code == 422
    named = {wrong["field"] for wrong in refused.json()["invalid_fields"]}
    assert named == {"webhook", "webhook_events_filter", "wait"}


async def test_unknown_models_and_broken_bodies_are_refused_in_replicates_shape(box: Sandbox) -> None:
    unknown = await box.replicate({"prompt": "x"}, "nobody/nothing")
    assert (unknown.status_code, unknown.json()["status"]) == (404, 404)
    broken = await box.http.post(
        f"/replicate/v1/models/{FLUX}/predictions", content=b"{", headers=REPLICATE_HEADERS
    )
    assert (broken.status_code, broken.json()["status"]) == (400, 400)
    missing = await box.http.get("/replicate/v1/predictions/none", headers=REPLICATE_HEADERS)
    assert (missing.status_code, missing.json()["title"]) == (404, "Not found")


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer sk-1", "Key r8_1", "Token r8_1"])
async def test_a_token_without_replicates_prefix_is_401(box: Sandbox, token: str) -> None:
    refused = await box.http.post(
        f"/replicate/v1/models/{FLUX}/predictions",
        json={"input": {"prompt": "x"}},
        headers={"authorization": token},
    )
    assert (refused.status_code, refused.json()["title"]) == (401, "Unauthenticated")
    listed = await box.http.get("/replicate/v1/predictions", headers={"authorization": token})
    assert listed.status_code == 401


async def test_the_webhook_secret_is_a_stable_whsec(box: Sandbox) -> None:
    path = "/replicate/v1/webhooks/default/secret"
    first = (await box.http.get(path, headers=REPLICATE_HEADERS)).json()["key"]
    assert first.startswith("whsec_")
    assert (await box.http.get(path, headers=REPLICATE_HEADERS)).json()["key"] == first
