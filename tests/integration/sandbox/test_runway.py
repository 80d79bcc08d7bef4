from __future__ import annotations

import pytest

from tests.integration.sandbox.driving import BEARER, RUNWAY_HEADERS, Sandbox

FILM = {"model": "gen4.5", "promptText": "spin", "ratio": "1280:720", "duration": 5}


async def _film(box: Sandbox, **fields: object) -> str:
    created = await box.http.post("/runway/v1/text_to_video", json={**FILM, **fields}, headers=RUNWAY_HEADERS)
    assert created.status_code == 200, created.text
    return str(created.json()["id"])


async def test_a_film_is_estimated_polled_and_charged(box: Sandbox) -> None:
    created = await box.http.post("/runway/v1/text_to_video", json=FILM, headers=RUNWAY_HEADERS)
    assert created.json()["estimatedCost"] == {"credits": 60.0}
    task_id = created.json()["id"]
    assert (await box.runway_task(task_id))["status"] == "PENDING"
    box.clock.advance(1)
    running = await box.runway_task(task_id)
    assert running["status"] == "RUNNING"
    assert 0 <= running["progress"] < 1
    box.clock.advance(9)
    done = await box.runway_task(task_id)
    assert (done["status"], done["cost"]) == ("SUCCEEDED", {"credits": 60})
    assert (await box.http.get(done["output"][0])).headers["content-type"] == "video/mp4"


async def test_pictures_and_first_frames_are_taken(box: Sandbox) -> None:
    picture = {
        "model": "gen4_image",
        "promptText": "a cube",
        "ratio": "1920:1080",
        "seed": 7,
        "referenceImages": [{"uri": "https://x.example/a.png", "tag": "cube"}],
        "contentModeration": {"publicFigureThreshold": "auto"},
    }
    answer = await box.http.post("/runway/v1/text_to_image", json=picture, headers=RUNWAY_HEADERS)
    assert (answer.status_code, answer.json()["estimatedCost"]["credits"]) == (200, 8.0)
    for image in ("https://x.example/a.png", [{"uri": "https://x.example/a.png", "position": "first"}]):
        framed = {**FILM, "promptImage": image}
        answer = await box.http.post("/runway/v1/image_to_video", json=framed, headers=RUNWAY_HEADERS)
        assert answer.status_code == 200


async def test_delete_cancels_what_runs_and_destroys_what_has_ended(box: Sandbox) -> None:
    running = await _film(box, promptText="[[slow=9000]]")
    box.clock.advance(5)
    deleted = await box.http.delete(f"/runway/v1/tasks/{running}", headers=RUNWAY_HEADERS)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await box.runway_task(running))["status"] == "CANCELLED"
    queued = await _film(box, promptText="[[slow=9000]]")
    await box.http.delete(f"/runway/v1/tasks/{queued}", headers=RUNWAY_HEADERS)
    assert (await box.runway_task(queued))["status"] == "CANCELLED"
    assert [entry["billable"] for entry in await box.log()] == [600_000, 0], "what ran is not refunded"

    ended = await _film(box)
    box.clock.advance(10)
    await box.http.delete(f"/runway/v1/tasks/{ended}", headers=RUNWAY_HEADERS)
    gone = await box.http.get(f"/runway/v1/tasks/{ended}", headers=RUNWAY_HEADERS)
    assert (gone.status_code, list(gone.json())) == (404, ["error"])


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("[[fail]]", "INTERNAL.BAD_OUTPUT.CODE01"),
        ("[[moderate]]", "SAFETY.INPUT.TEXT"),
        ("[[moderate=output]]", "SAFETY.OUTPUT.VIDEO"),
    ],
)
async def test_failures_carry_runways_codes(box: Sandbox, token: str, code: str) -> None:
    task_id = await _film(box, promptText=token)
    box.clock.advance(10)
    failed = await box.runway_task(task_id)
    assert (failed["status"], failed["failureCode"], failed["cost"]) == ("FAILED", code, {"credits": 0})


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"duration": 11}, ["duration"]),
        ({"ratio": "16:9"}, ["ratio"]),
        ({"prompt": "x"}, ["prompt"]),
        ({"promptText": "x" * 1_001}, ["promptText"]),
        (
            {"contentModeration": {"publicFigureThreshold": "off"}},
            ["contentModeration", "publicFigureThreshold"],
        ),
    ],
)
async def test_what_the_sdk_types_do_not_allow_is_refused_and_named(
    box: Sandbox, fields: dict[str, object], path: list[str]
) -> None:
    body = {**FILM, **fields}
    refused = await box.http.post("/runway/v1/text_to_video", json=body, headers=RUNWAY_HEADERS)
    assert (refused.status_code, refused.json()["issues"][0]["path"]) == (400, path)


async def test_the_version_header_is_required_everywhere(box: Sandbox) -> None:
    for headers in (BEARER, {**BEARER, "x-runway-version": "2023-01-01"}):
        refused = await box.http.post("/runway/v1/text_to_video", json=FILM, headers=headers)
        assert (refused.status_code, "X-Runway-Version" in refused.json()["error"]) == (400, True)
        assert (await box.http.get("/runway/v1/tasks/x", headers=headers)).status_code == 400
    keyless = await box.http.get("/runway/v1/organization", headers={"x-runway-version": "2024-11-06"})
    assert keyless.status_code == 401
    assert (await box.http.get("/runway/v1/organization", headers=RUNWAY_HEADERS)).json()["creditBalance"] > 0


async def test_an_unknown_model_is_a_bad_request_here(box: Sandbox) -> None:
    body = {**FILM, "model": "gen9"}
    refused = await box.http.post("/runway/v1/text_to_video", json=body, headers=RUNWAY_HEADERS)
    assert (refused.status_code, refused.json()["issues"][0]["path"]) == (400, ["model"])
