from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from tests.integration.sandbox.driving import BEARER, FILM_TASKS, Sandbox

IMAGES = "/byteplus/api/v3/images/generations"
NULLS = ("return_last_frame", "service_tier", "priority", "draft", "frames", "output_format", "seed")


async def test_pictures_come_as_urls_while_the_caller_waits(box: Sandbox) -> None:
    body = {
        "model": "seedream-4-5-251128",
        "prompt": "a red cube",
        "size": "2560x1440",
        "sequential_image_generation": "auto",
        "sequential_image_generation_options": {"max_images": 3},
        "guidance_scale": None,
        "tools": None,
    }
    answer = await box.held(box.http.post(IMAGES, json=body, headers=BEARER))
    found = answer.json()
    assert (answer.status_code, found["usage"]["generated_images"]) == (200, 3)
    assert {picture["size"] for picture in found["data"]} == {"2560x1440"}
    picture = await box.http.get(found["data"][0]["url"])
    assert Image.open(io.BytesIO(picture.content)).size == (2560, 1440)
    assert [entry["billable"] for entry in await box.log()] == [120_000]


async def test_a_film_is_a_task_with_its_tokens(box: Sandbox) -> None:
    asked = dict.fromkeys(NULLS) | {"resolution": "720p", "ratio": "16:9", "duration": 4}
    created = await box.byteplus_film("a cube spins", **asked)
    assert (created.status_code, list(created.json())) == (200, ["id"])
    task_id = created.json()["id"]
    assert (await box.byteplus_task(task_id))["status"] == "queued"
    box.clock.advance(1)
    assert (await box.byteplus_task(task_id))["status"] == "running"
    box.clock.advance(9)
    done = await box.byteplus_task(task_id)
    assert (done["status"], done["duration"], done["generate_audio"]) == ("succeeded", 4, True)
    assert done["usage"]["completion_tokens"] == 1280 * 720 * 24 * 4 // 1024
    assert (await box.http.get(done["content"]["video_url"])).headers["content-type"] == "video/mp4"


async def test_tasks_are_listed_newest_first_and_filtered(box: Sandbox) -> None:
    first, second = [(await box.byteplus_film("x")).json()["id"] for _ in range(2)]
    box.clock.advance(10)
    third = (await box.byteplus_film("x")).json()["id"]

    async def listed(**query: Any) -> list[str]:
        answer = await box.http.get(FILM_TASKS, params=query, headers=BEARER)
        return [task["id"] for task in answer.json()["items"]]

    assert await listed() == [third, second, first]
    assert await listed(**{"filter.status": "succeeded"}) == [second, first]
    assert await listed(**{"filter.task_ids": [first, third]}) == [third, first]
    assert await listed(page_num=2, page_size=2) == [first]
    assert await listed(**{"filter.model": "m"}) == []


async def test_delete_cancels_a_queued_task_refuses_a_running_one_and_destroys_a_final_one(
    box: Sandbox,
) -> None:
    queued = (await box.byteplus_film("[[slow=9000]]")).json()["id"]
    assert (await box.http.delete(f"{FILM_TASKS}/{queued}", headers=BEARER)).status_code == 200
    assert (await box.byteplus_task(queued))["status"] == "cancelled"

    running = (await box.byteplus_film("[[slow=9000]]")).json()["id"]
    box.clock.advance(5)
    refused = await box.http.delete(f"{FILM_TASKS}/{running}", headers=BEARER)
    assert refused.status_code == 409
    box.clock.advance(5)
    assert (await box.byteplus_task(running))["status"] == "succeeded"
    assert (await box.http.delete(f"{FILM_TASKS}/{running}", headers=BEARER)).status_code == 200
    gone = await box.http.get(f"{FILM_TASKS}/{running}", headers=BEARER)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "ResourceNotFound")


async def test_moderation_at_submit_in_the_task_and_at_the_output(box: Sandbox) -> None:
    refused = await box.byteplus_film("[[moderate=submit]]")
    assert (refused.status_code, refused.json()["error"]["code"]) == (
        400,
        "InputTextSensitiveContentDetected",
    )
    codes = []
    for where in ("task", "output"):
        task_id = (await box.byteplus_film(f"[[moderate={where}]]")).json()["id"]
        box.clock.advance(10)
        task = await box.byteplus_task(task_id)
        codes.append((task["status"], task["error"]["code"]))
    assert codes == [
        ("failed", "InputTextSensitiveContentDetected"),
        ("failed", "OutputVideoSensitiveContentDetected"),
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"generation_ratio": "16:9"}, "generation_ratio"),
        ({"duration": 3}, "duration"),
        ({"resolution": "720P"}, "resolution"),
        ({"execution_expires_after": 60}, "execution_expires_after"),
        ({"content": [{"type": "image_url", "image_url": {"link": "x"}}]}, "content.0.image_url.url"),
        ({"content": [{"type": "file"}]}, "content.0"),
    ],
)
async def test_fields_that_the_sdk_does_not_have_are_refused_and_named(
    box: Sandbox, fields: dict[str, object], param: str
) -> None:
    refused = await box.byteplus_film("x", **fields)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("auth", (401, "AuthenticationError")),
        ("billing", (403, "AccountOverdueError")),
        ("rate", (429, "ModelAccountRpmRateLimitExceeded")),
        ("capacity", (429, "ServerOverloaded")),
        ("quota", (429, "QuotaExceeded")),
        ("internal", (500, "InternalServiceError")),
    ],
)
async def test_refusals_carry_byteplus_codes(box: Sandbox, reason: str, expected: tuple[int, str]) -> None:
    refused = await box.byteplus_film(f"[[refuse={reason}]]")
    assert (refused.status_code, refused.json()["error"]["code"]) == expected
    unknown = await box.byteplus_film("x", model="m")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "InvalidEndpoint.NotFound")
