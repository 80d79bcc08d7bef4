from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from tests.integration.sandbox.driving import FAL_HEADERS, Sandbox


async def test_a_request_goes_from_the_queue_to_its_result(box: Sandbox) -> None:
    submitted = await box.fal(
        {"prompt": "a red cube [[slow=8000]]", "image_size": "landscape_16_9", "seed": 7},
        "fal-ai/flux/dev?fal_webhook=https%3A%2F%2Fctl.example%2Fhooks",
    )
    assert submitted.status_code == 200
    queued = submitted.json()
    assert queued["status"] == "IN_QUEUE"
    assert isinstance(queued["queue_position"], int)
    here = f"{box.url}/fal/fal-ai/flux/requests/{queued['request_id']}"
    assert (queued["response_url"], queued["status_url"], queued["cancel_url"]) == (
        here,
        f"{here}/status",
        f"{here}/cancel",
    )

    waiting = await box.fal_get(queued["status_url"])
    assert (waiting.status_code, waiting.json()["status"]) == (202, "IN_QUEUE")
    assert "queue_position" in waiting.json()

    box.clock.advance(3)
    running = await box.fal_get(queued["status_url"])
    assert (running.status_code, running.json()["status"]) == (202, "IN_PROGRESS")
    assert running.json()["logs"] is None
    early = await box.fal_get(queued["response_url"])
    assert early.status_code == 400

    box.clock.advance(6)
    done = await box.fal_get(queued["status_url"] + "?logs=1")
    assert (done.status_code, done.json()["status"]) == (200, "COMPLETED")
    assert [line["message"] for line in done.json()["logs"]] == ["Started", "Ended"]
    assert "error" not in done.json()

    result = await box.fal_get(queued["response_url"])
    assert result.status_code == 200
    assert result.headers["x-fal-request-id"] == queued["request_id"]
    body = result.json()
    assert (body["seed"], body["has_nsfw_concepts"]) == (7, [False])
    assert body["prompt"] == "a red cube [[slow=8000]]"
    assert "timings" in body
    picture = body["images"][0]
    assert (picture["width"], picture["height"], picture["content_type"]) == (1024, 576, "image/jpeg")


@pytest.mark.parametrize(
    ("model", "given", "app"),
    [
        ("fal-ai/veo3.1", {"duration": "4s"}, "fal-ai/veo3.1"),
        ("fal-ai/veo3.1/fast", {"duration": "4s"}, "fal-ai/veo3.1"),
        ("fal-ai/bytedance/seedance/v1/pro/text-to-video", {"duration": "5"}, "fal-ai/bytedance"),
        ("fal-ai/minimax/video-01", {}, "fal-ai/minimax"),
    ],
)
async def test_a_video_model_answers_with_one_video_and_urls_of_its_app(
    box: Sandbox, model: str, given: dict[str, object], app: str
) -> None:
    submitted = (await box.fal({"prompt": "waves", **given}, model)).json()
    assert submitted["response_url"].startswith(f"{box.url}/fal/{app}/requests/")
    box.clock.advance(10)
    video = (await box.fal_get(submitted["response_url"])).json()["video"]
    assert video["content_type"] == "video/mp4"
    assert video["url"].endswith(".mp4")


async def test_cancel_removes_a_queued_request(box: Sandbox) -> None:
    queued = (await box.fal({"prompt": "x [[slow=9000]]"})).json()
    removed = await box.http.put(queued["cancel_url"], headers=FAL_HEADERS)
    assert (removed.status_code, removed.json()["status"]) == (200, "OK")
    assert (await box.fal_get(queued["status_url"])).status_code == 404


async def test_cancel_stops_a_running_request_and_comes_too_late_for_a_finished_one(box: Sandbox) -> None:
    running = (await box.fal({"prompt": "x [[slow=9000]]"})).json()
    box.clock.advance(5)
    asked = await box.http.put(running["cancel_url"], headers=FAL_HEADERS)
    assert (asked.status_code, asked.json()["status"]) == (202, "CANCELLATION_REQUESTED")
    status = await box.fal_get(running["status_url"])
    assert (status.json()["status"], status.json()["error_type"]) == ("COMPLETED", "client_cancelled")
    assert (await box.fal_get(running["response_url"])).status_code == 499
    again = await box.http.put(running["cancel_url"], headers=FAL_HEADERS)
    assert (again.status_code, again.json()["status"]) == (400, "ALREADY_COMPLETED")

    unknown = await box.http.put("/fal/fal-ai/flux/requests/none/cancel", headers=FAL_HEADERS)
    assert (unknown.status_code, unknown.json()["status"]) == (404, "NOT_FOUND")


async def test_a_request_is_found_only_under_its_own_app(box: Sandbox) -> None:
    request_id = (await box.fal({"prompt": "x"})).json()["request_id"]
    assert (await box.fal_get(f"/fal/fal-ai/veo3.1/requests/{request_id}")).status_code == 404
    assert (await box.fal_get(f"/fal/fal-ai/flux/requests/{request_id}/status")).status_code == 202


@pytest.mark.parametrize(
    ("model", "given", "field"),
    [
        ("fal-ai/flux/schnell", {}, "prompt"),
        ("fal-ai/flux/schnell", {"prompt": "x", "num_outputs": 1}, "num_outputs"),
        ("fal-ai/flux/schnell", {"prompt": "x", "image_size": "huge"}, "image_size"),
        ("fal-ai/flux/schnell", {"prompt": "x", "image_size": {"size": 1024}}, "image_size"),
        ("fal-ai/flux/schnell", {"prompt": "x", "image_size": {"width": 9, "height": 512}}, "image_size"),
        ("fal-ai/flux/dev", {"prompt": "x", "output_format": "webp"}, "output_format"),
        ("fal-ai/flux/dev", {"prompt": "x", "guidance_scale": 0.5}, "guidance_scale"),
        ("fal-ai/veo3.1", {"prompt": "x", "duration": 8}, "duration"),
        ("fal-ai/veo3.1", {"prompt": "x", "generate_audio": "yes"}, "generate_audio"),
        ("fal-ai/minimax/video-01", {"prompt": "x", "image_url": "https://a.example/b.png"}, "image_url"),
        ("fal-ai/flux-pro/kontext", {"prompt": "x", "image_url": "picture.png"}, "image_url"),
        (
            "fal-ai/bytedance/seedream/v4.5/text-to-image",
            {"prompt": "x", "image_size": {"width": 1024, "height": 1024}},
            "image_size",
        ),
    ],
)
async def test_input_outside_the_schema_is_refused_and_named(
    box: Sandbox, model: str, given: dict[str, object], field: str
) -> None:
    refused = await box.fal(given, model)
    assert refused.status_code == 422
    assert [detail["loc"] for detail in refused.json()["detail"]] == [["body", field]]
    assert refused.headers["x-fal-retryable"] == "false"
    assert refused.headers["x-fal-request-id"]


async def test_unknown_apps_missing_keys_and_broken_bodies_are_refused_in_fals_shape(box: Sandbox) -> None:
    unknown = await box.fal({"prompt": "x"}, "fal-ai/nothing")
    assert (unknown.status_code, unknown.json()["error_type"]) == (404, "not_found")
    for key in ("", "Key", "Bearer kid:ksecret"):
        refused = await box.http.post(
            "/fal/fal-ai/flux/dev", json={"prompt": "x"}, headers={"authorization": key}
        )
        assert (refused.status_code, refused.headers["x-fal-error-type"]) == (401, "auth_error")
    broken = await box.http.post("/fal/fal-ai/flux/dev", content=b"[]", headers=FAL_HEADERS)
    assert (broken.status_code, broken.json()["detail"][0]["type"]) == (422, "json_invalid")


@pytest.mark.parametrize(
    ("model", "given", "size", "form"),
    [
        ("fal-ai/flux/dev", {"image_size": {"width": 1024}}, (1024, 512), "image/jpeg"),
        ("fal-ai/imagen4/preview", {}, (1024, 1024), "image/png"),
        ("fal-ai/bytedance/seedream/v5/lite/text-to-image", {"max_images": 3}, (2048, 2048), "image/png"),
        ("wan/v2.6/text-to-image", {"max_images": 3}, (1024, 1024), "image/png"),
    ],
)
async def test_a_result_has_the_size_and_format_of_its_model(
    box: Sandbox, model: str, given: dict[str, object], size: tuple[int, int], form: str
) -> None:
    result = await box.fal_result({"prompt": "x", **given}, model)
    assert len(result["images"]) == given.get("max_images", 1)
    for picture in result["images"]:
        assert ((picture["width"], picture["height"]), picture["content_type"]) == (size, form)


async def test_a_model_of_one_picture_answers_with_one(box: Sandbox) -> None:
    result = await box.fal_result({"prompt": "x"}, "fal-ai/wan/v2.2-a14b/text-to-image")
    assert set(result) == {"image", "seed"}
    assert (await box.http.get(result["image"]["url"])).status_code == 200


async def test_sync_mode_returns_the_picture_itself(box: Sandbox) -> None:
    result = await box.fal_result({"prompt": "x", "sync_mode": True, "image_size": "square"})
    head, _, content = result["images"][0]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (512, 512)
