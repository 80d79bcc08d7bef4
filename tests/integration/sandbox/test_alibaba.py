from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.integration.sandbox.driving import ALIBABA, ASYNC_HEADERS, BEARER, Sandbox

CHAT = f"{ALIBABA}/services/aigc/multimodal-generation/generation"
PICTURE = f"{ALIBABA}/services/aigc/image-generation/generation"
OLD_PICTURE = f"{ALIBABA}/services/aigc/text2image/image-synthesis"


def _chat(prompt: str = "a red cube", model: str = "qwen-image-2.0", **parameters: Any) -> dict[str, object]:
    message = {"role": "user", "content": [{"text": prompt}]}
    return {"model": model, "input": {"messages": [message]}, "parameters": parameters}


async def test_a_film_goes_from_pending_to_succeeded(box: Sandbox) -> None:
    created = (await box.alibaba_film("a cube", resolution="720P", ratio="16:9", duration=4, seed=7)).json()
    assert created["output"]["task_status"] == "PENDING"
    assert created["request_id"]
    task_id = created["output"]["task_id"]
    box.clock.advance(1)
    assert (await box.alibaba_task(task_id))["output"]["task_status"] == "RUNNING"
    box.clock.advance(9)
    done = await box.alibaba_task(task_id)
    assert done["output"]["task_status"] == "SUCCEEDED"
    assert (done["usage"]["output_video_duration"], done["usage"]["SR"]) == (4, 720)
    assert (await box.http.get(done["output"]["video_url"])).headers["content-type"] == "video/mp4"
    assert [entry["billable"] for entry in await box.log()] == [330_000]


async def test_pictures_come_at_once_or_as_a_task(box: Sandbox) -> None:
    answer = await box.held(box.http.post(CHAT, json=_chat(n=2, size="1280*720"), headers=BEARER))
    urls = [choice["message"]["content"][0]["image"] for choice in answer.json()["output"]["choices"]]
    assert (answer.status_code, len(urls)) == (200, 2)
    picture = await box.http.get(urls[0])
    assert Image.open(io.BytesIO(picture.content)).size == (1280, 720)

    started = await box.http.post(PICTURE, json=_chat(model="wan2.6-t2i"), headers=ASYNC_HEADERS)
    box.clock.advance(10)
    task = await box.alibaba_task(started.json()["output"]["task_id"])
    picture = await box.http.get(task["output"]["choices"][0]["message"]["content"][0]["image"])
    assert Image.open(io.BytesIO(picture.content)).size == (1280, 1280)


@pytest.mark.parametrize(
    ("size", "status"),
    [
        ("1280*1280", 200),
        ("1440*1440", 200),
        ("960*1696", 200),
        ("960*1690", 400),
        ("1024*1024", 400),
        ("1280*720", 400),
        ("1456*1440", 400),
        ("640*2880", 400),
    ],
)
async def test_wan_2_6_makes_pictures_within_its_own_pixels_only(
    box: Sandbox, size: str, status: int
) -> None:
    answer = await box.http.post(PICTURE, json=_chat(model="wan2.6-t2i", size=size), headers=ASYNC_HEADERS)
    assert answer.status_code == status
    assert answer.json().get("code") == (None if status == 200 else "InvalidParameter")


@pytest.mark.parametrize(("size", "status"), [("512*1440", 200), ("1440*500", 400), ("1696*960", 400)])
async def test_wan_2_2_limits_each_side_of_a_picture(box: Sandbox, size: str, status: int) -> None:
    body = {"model": "wan2.2-t2i-flash", "input": {"prompt": "x"}, "parameters": {"size": size}}
    answer = await box.http.post(OLD_PICTURE, json=body, headers=ASYNC_HEADERS)
    assert answer.status_code == status


async def test_an_old_picture_task_names_each_result(box: Sandbox) -> None:
    body = {"model": "wan2.2-t2i-flash", "input": {"prompt": "x [[partial=2]]"}, "parameters": {"n": 4}}
    started = await box.http.post(OLD_PICTURE, json=body, headers=ASYNC_HEADERS)
    box.clock.advance(10)
    output = (await box.alibaba_task(started.json()["output"]["task_id"]))["output"]
    assert [("url" in result, "code" in result) for result in output["results"]] == [
        (True, False),
        (True, False),
        (False, True),
        (False, True),
    ]
    assert output["task_metrics"] == {"TOTAL": 4, "SUCCEEDED": 2, "FAILED": 2}


async def test_pictures_of_messages_have_a_quarter_of_a_megapixel_at_least(box: Sandbox) -> None:
    small = await box.http.post(CHAT, json=_chat(size="500*500"), headers=BEARER)
    assert (small.status_code, small.json()["code"]) == (400, "InvalidParameter")
    assert "size" in small.json()["message"]


async def test_tasks_need_the_async_header_and_direct_calls_must_not_have_it(box: Sandbox) -> None:
    film = {"model": "wan3.0-video", "input": {"prompt": "x"}}
    path = f"{ALIBABA}/services/aigc/video-generation/video-synthesis"
    refused = await box.http.post(path, json=film, headers=BEARER)
    assert (refused.status_code, refused.json()["code"]) == (403, "AccessDenied")
    assert "synchronous" in refused.json()["message"]
    assert (await box.http.post(CHAT, json=_chat(), headers=ASYNC_HEADERS)).status_code == 403


async def test_only_pending_tasks_can_be_cancelled(box: Sandbox) -> None:
    task_id = (await box.alibaba_film("[[slow=9000]]")).json()["output"]["task_id"]
    cancel = f"{ALIBABA}/tasks/{task_id}/cancel"
    assert (await box.http.post(cancel, headers=BEARER)).status_code == 200
    assert (await box.alibaba_task(task_id))["output"]["task_status"] == "CANCELED"

    running = (await box.alibaba_film("[[slow=9000]]")).json()["output"]["task_id"]
    box.clock.advance(5)
    refused = await box.http.post(f"{ALIBABA}/tasks/{running}/cancel", headers=BEARER)
    assert (refused.status_code, refused.json()["code"]) == (400, "UnsupportedOperation")


async def test_a_task_is_unknown_after_a_day_or_when_there_was_none(box: Sandbox) -> None:
    assert (await box.alibaba_task("nobody"))["output"]["task_status"] == "UNKNOWN"
    task_id = (await box.alibaba_film("x")).json()["output"]["task_id"]
    box.clock.advance(86_401)
    assert (await box.alibaba_task(task_id))["output"]["task_status"] == "UNKNOWN"


async def test_tasks_are_listed_by_model_and_status(box: Sandbox) -> None:
    task_id = (await box.alibaba_film("x")).json()["output"]["task_id"]
    await box.held(box.http.post(CHAT, json=_chat(), headers=BEARER))

    async def listed(**query: str) -> list[str]:
        answer = await box.http.get(f"{ALIBABA}/tasks", params=query, headers=BEARER)
        return [task["task_id"] for task in answer.json()["tasks"]]

    assert await listed() == [task_id]
    assert await listed(model_name="wan3.0-video", status="SUCCEEDED") == [task_id]
    assert await listed(status="PENDING") == []


async def test_moderation_at_submit_in_the_task_and_at_the_output(box: Sandbox) -> None:
    refused = await box.alibaba_film("[[moderate=submit]]")
    assert (refused.status_code, refused.json()["code"]) == (400, "DataInspectionFailed")
    messages = []
    for where in ("task", "output"):
        task_id = (await box.alibaba_film(f"[[moderate={where}]]")).json()["output"]["task_id"]
        box.clock.advance(10)
        output = (await box.alibaba_task(task_id))["output"]
        assert (output["task_status"], output["code"]) == ("FAILED", "DataInspectionFailed")
        messages.append(output["message"].split()[0])
    assert messages == ["Input", "Output"]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("auth", (401, "InvalidApiKey")),
        ("billing", (400, "Arrearage")),
        ("forbidden", (403, "AccessDenied")),
        ("rate", (429, "Throttling.RateQuota")),
        ("capacity", (429, "Throttling")),
        ("quota", (429, "PrepaidBillOverdue")),
        ("unavailable", (503, "ServiceUnavailable")),
    ],
)
async def test_refusals_carry_alibabas_codes(box: Sandbox, reason: str, expected: tuple[int, str]) -> None:
    refused = await box.alibaba_film(f"[[refuse={reason}]]")
    assert (refused.status_code, refused.json()["code"]) == expected


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"duration": 31}, "parameters.duration"),
        ({"resolution": "720p"}, "parameters.resolution"),
        ({"size": "1280*720"}, "parameters.size"),
        ({"n": 2}, "parameters.n"),
    ],
)
async def test_parameters_of_another_family_are_refused_and_named(
    box: Sandbox, parameters: dict[str, object], named: str
) -> None:
    refused = await box.alibaba_film("x", **parameters)
    assert (refused.status_code, refused.json()["code"]) == (400, "InvalidParameter")
    assert refused.json()["message"].startswith(named)


async def test_what_the_older_surface_of_the_sdk_adds_is_taken(box: Sandbox) -> None:
    words = {"prompt": "x", "extend_prompt": True, "function": "video-synthesis"}
    words_and_file = words | {"media": [{"type": "first_frame", "url": "https://x.example/a.png"}]}
    body = {"model": "wan3.0-video", "parameters": {"audio": True}, "input": words_and_file}
    path = f"{ALIBABA}/services/aigc/video-generation/video-synthesis"
    created: httpx.Response = await box.http.post(path, json=body, headers=ASYNC_HEADERS)
    assert created.status_code == 200
    unknown = await box.http.post(path, json={**body, "model": "wan9"}, headers=ASYNC_HEADERS)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "ModelNotFound")
