from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from tests.integration.sandbox.driving import BFL_HEADERS, Sandbox


async def _submit(box: Sandbox, model: str = "flux-2-pro", **fields: object) -> dict[str, object]:
    answer = await box.http.post(f"/v1/{model}", json={"prompt": "a cube", **fields}, headers=BFL_HEADERS)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def test_a_picture_is_polled_where_the_reply_says(box: Sandbox) -> None:
    created = await _submit(box, width=1280, height=720, output_format="png", seed=7)
    assert created["polling_url"] == f"{box.url}/v1/get_result?id={created['id']}"
    assert (created["cost"], created["output_mp"]) == (3.0, 0.92)
    pending = await box.http.get(str(created["polling_url"]), headers=BFL_HEADERS)
    assert pending.json()["status"] == "Pending"
    box.clock.advance(10)
    done = await box.bfl_result(str(created["id"]))
    assert (done["status"], done["result"]["seed"]) == ("Ready", 7)
    picture = await box.http.get(done["result"]["sample"])
    assert Image.open(io.BytesIO(picture.content)).size == (1280, 720)
    box.clock.advance(601)
    assert (await box.http.get(done["result"]["sample"])).status_code == 404


async def test_a_film_generates_and_comes_with_its_length(box: Sandbox) -> None:
    created = await _submit(box, "flux-3-video", mode="t2v", duration=5, resolution="fhd")
    assert created["cost"] == 145.0
    box.clock.advance(1)
    assert (await box.bfl_result(str(created["id"])))["status"] == "Generating"
    box.clock.advance(9)
    url = (await box.bfl_result(str(created["id"])))["result"]["sample"]
    assert (await box.http.get(url)).headers["content-type"] == "video/mp4"


async def test_with_a_webhook_there_is_no_polling_url(box: Sandbox) -> None:
    hook = {"webhook_url": "http://127.0.0.1:1/hook", "webhook_secret": "s"}
    created = await _submit(box, **hook)
    assert (created["status"], created["webhook_url"]) == ("Pending", hook["webhook_url"])
    assert "polling_url" not in created
    assert (await box.bfl_result(str(created["id"])))["status"] == "Pending"


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("[[fail]]", "Error"),
        ("[[moderate]]", "Request Moderated"),
        ("[[moderate=submit]]", "Request Moderated"),
        ("[[moderate=output]]", "Content Moderated"),
    ],
)
async def test_endings_in_bfls_words(box: Sandbox, token: str, status: str) -> None:
    created = await _submit(box, prompt=token)
    box.clock.advance(10)
    ended = await box.bfl_result(str(created["id"]))
    assert (ended["status"], ended["result"]) == (status, None)
    assert (await box.bfl_result("nobody"))["status"] == "Task not found"


@pytest.mark.parametrize(
    ("model", "fields", "field"),
    [
        ("flux-2-pro", {"num_images": 2}, "num_images"),
        ("flux-2-pro", {"safety_tolerance": 6}, "safety_tolerance"),
        ("flux-2-pro", {"aspect_ratio": "16:9"}, "aspect_ratio"),
        ("flux-pro-1.1", {"width": 1000}, "width"),
        ("flux-pro-1.1-ultra", {"aspect_ratio": "4:1"}, "aspect_ratio"),
        ("flux-3-video", {"mode": "t2v", "seed": 1}, "seed"),
        ("flux-3-video", {"mode": "i2v"}, "keyframes"),
    ],
)
async def test_fields_of_other_models_are_refused_and_named(
    box: Sandbox, model: str, fields: dict[str, object], field: str
) -> None:
    body = {"prompt": "x", **fields}
    refused = await box.http.post(f"/v1/{model}", json=body, headers=BFL_HEADERS)
    assert refused.status_code == 422
    assert [detail["loc"] for detail in refused.json()["detail"]] == [["body", field]]


@pytest.mark.parametrize("model", ["flux-pro-1.1", "flux-pro-1.1-ultra"])
async def test_an_image_prompt_is_a_picture_in_base64_and_no_url(box: Sandbox, model: str) -> None:
    content = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(content, "PNG")
    picture = base64.b64encode(content.getvalue()).decode()
    await _submit(box, model, image_prompt=picture)
    words = base64.b64encode(b"https://example.com/a.png").decode()
    for other in ("https://example.com/a.png", f"data:image/png;base64,{picture}", words, "", 5):
        body = {"prompt": "x", "image_prompt": other}
        refused = await box.http.post(f"/v1/{model}", json=body, headers=BFL_HEADERS)
        assert refused.status_code == 422
        assert [detail["loc"] for detail in refused.json()["detail"]] == [["body", "image_prompt"]]


async def test_refusals_have_bfls_statuses(box: Sandbox) -> None:
    for reason, status in (
        ("auth", 401),
        ("billing", 402),
        ("forbidden", 403),
        ("rate", 429),
        ("capacity", 503),
    ):
        refused = await box.submit("bfl", f"[[refuse={reason}]]")
        assert (refused.status_code, isinstance(refused.json()["detail"], str)) == (status, True)
    unknown = await box.http.post("/v1/flux-9", json={"prompt": "x"}, headers=BFL_HEADERS)
    assert unknown.status_code == 404
    assert (await box.http.post("/v1/flux-2-pro", json={"prompt": "x"})).status_code == 401


async def test_what_its_sdk_sends_is_taken(box: Sandbox) -> None:
    sent = {"width": 1024, "height": 768, "seed": 42, "safety_tolerance": 2, "output_format": "png"}
    await _submit(box, "flux-pro-1.1", **sent, prompt_upsampling=False)
    await _submit(box, "flux-kontext-pro", aspect_ratio="16:9", safety_tolerance=2, output_format="png")
