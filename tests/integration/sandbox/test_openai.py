from __future__ import annotations

import base64
import io

import httpx
import pytest
from PIL import Image

from tests.integration.sandbox.driving import BEARER, Sandbox

PATH = "/openai/v1/images/generations"


async def _generate(box: Sandbox, **fields: object) -> httpx.Response:
    body = {"model": "gpt-image-2", "prompt": "a red cube", **fields}
    return await box.held(box.http.post(PATH, json=body, headers=BEARER))


@pytest.mark.parametrize(("form", "name"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
async def test_pictures_come_inline_at_the_size_and_format_asked(box: Sandbox, form: str, name: str) -> None:
    answer = await _generate(box, n=2, size="1536x864", output_format=form, quality="low")
    assert answer.status_code == 200
    found = answer.json()
    assert (len(found["data"]), found["size"], found["quality"]) == (2, "1536x864", "low")
    for picture in found["data"]:
        with Image.open(io.BytesIO(base64.b64decode(picture["b64_json"]))) as image:
            assert (image.format, image.size) == (name, (1536, 864))
    usage = found["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0


async def test_a_call_is_held_until_the_job_has_ended_and_bills_it(box: Sandbox) -> None:
    assert (await _generate(box, quality="high", n=3)).status_code == 200
    (entry,) = await box.log()
    assert (entry["outcome"], entry["state"], entry["billable"]) == ("accepted", "succeeded", 600_000)


async def test_a_caller_that_hangs_up_pays_all_the_same(box: Sandbox) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await box.http.post(PATH, json={"model": "gpt-image-2", "prompt": "x"}, headers=BEARER, timeout=0.3)
    box.clock.advance(10)
    assert [entry["state"] for entry in await box.log()] == ["succeeded"]


async def test_edits_take_a_form_with_files(box: Sandbox) -> None:
    picture = ("in.png", b"\x89PNG and some bytes\r\n--almost", "image/png")
    form = {"model": "gpt-image-2", "prompt": "make it blue", "size": "1024x1024", "n": "2"}
    answer = await box.held(
        box.http.post(
            "/openai/v1/images/edits",
            data=form,
            files=[("image[]", picture), ("image[]", picture)],
            headers=BEARER,
        )
    )
    assert (answer.status_code, len(answer.json()["data"])) == (200, 2)
    without = await box.http.post(
        "/openai/v1/images/edits", data=form, files={"mask": picture}, headers=BEARER
    )
    assert (without.status_code, without.json()["error"]["param"]) == (400, "image")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"seed": 7}, "seed", "unknown_parameter"),
        ({"response_format": "url"}, "response_format", "unknown_parameter"),
        ({"n": 11}, "n", "invalid_value"),
        ({"size": "1000x1000"}, "size", "invalid_value"),
        ({"size": "3840x640"}, "size", "invalid_value"),
        ({"quality": "hd"}, "quality", "invalid_value"),
        ({"prompt": "x" * 32_001}, "prompt", "invalid_value"),
    ],
)
async def test_what_the_sdk_types_do_not_allow_is_refused_and_named(
    box: Sandbox, fields: dict[str, object], param: str, code: str
) -> None:
    body = {"model": "gpt-image-2", "prompt": "x", **fields}
    refused = await box.http.post(PATH, json=body, headers=BEARER)
    assert refused.status_code == 400
    assert (refused.json()["error"]["param"], refused.json()["error"]["code"]) == (param, code)


async def test_errors_have_openais_shape(box: Sandbox) -> None:
    unknown = await box.http.post(PATH, json={"model": "dall-e-3", "prompt": "x"}, headers=BEARER)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    keyless = await box.http.post(PATH, json={"model": "gpt-image-2", "prompt": "x"})
    assert (keyless.status_code, keyless.json()["error"]["code"]) == (401, "invalid_api_key")
    gone = await box.http.post("/openai/v1/videos", json={}, headers=BEARER)
    assert gone.status_code == 410


@pytest.mark.parametrize(("where", "stage"), [("submit", "input"), ("task", "input"), ("output", "output")])
async def test_moderation_names_its_stage(box: Sandbox, where: str, stage: str) -> None:
    refused = await box.submit("openai", f"[[moderate={where}]]")
    error = refused.json()["error"]
    assert (refused.status_code, error["type"]) == (400, "image_generation_user_error")
    assert error["code"] == "moderation_blocked"
    assert error["moderation_details"]["moderation_stage"] == stage
    assert [entry["billable"] for entry in await box.log()] == [0]


async def test_nulls_are_absent(box: Sandbox) -> None:
    assert (await _generate(box, n=None, background=None)).status_code == 200
