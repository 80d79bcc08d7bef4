from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from tests.integration.sandbox.driving import BEARER, CLOUDFLARE, Sandbox

SCHNELL = "@cf/black-forest-labs/flux-1-schnell"
VEO = {"duration": "4s", "aspect_ratio": "9:16", "resolution": "720p", "generate_audio": False}


@pytest.mark.parametrize("slash", ["/", "%2F"])
async def test_an_own_model_answers_with_base64_in_the_envelope(box: Sandbox, slash: str) -> None:
    path = f"{CLOUDFLARE}/{SCHNELL.replace('/', slash)}"
    answer = await box.held(box.http.post(path, json={"prompt": "a cube", "steps": 4}, headers=BEARER))
    found = answer.json()
    assert (answer.status_code, found["success"], found["errors"]) == (200, True, [])
    with Image.open(io.BytesIO(base64.b64decode(found["result"]["image"]))) as image:
        assert (image.format, image.size) == ("JPEG", (1024, 1024))


async def test_diffusion_models_answer_with_the_picture_itself(box: Sandbox) -> None:
    path = f"{CLOUDFLARE}/@cf/lykon/dreamshaper-8-lcm"
    body = {"prompt": "a cube", "width": 512, "height": 768}
    answer = await box.held(box.http.post(path, json=body, headers=BEARER))
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == ("PNG", (512, 768))


async def test_flux_2_takes_a_form(box: Sandbox) -> None:
    path = f"{CLOUDFLARE}/@cf/black-forest-labs/flux-2-klein-4b"
    form = {"prompt": (None, "42"), "width": (None, "640"), "height": (None, "384")}
    answer = await box.held(box.http.post(path, files=form, headers=BEARER))
    content = base64.b64decode(answer.json()["result"]["image"])
    assert Image.open(io.BytesIO(content)).size == (640, 384)
    refused = await box.http.post(path, json={"prompt": "a cube"}, headers=BEARER)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, 5004)


@pytest.mark.parametrize("bare", [False, True])
async def test_a_model_of_others_answers_with_a_url(box: Sandbox, bare: bool) -> None:
    await box.knobs("cloudflare", bare_reply=bare)
    body = {"model": "google/veo-3.1-fast", "input": {"prompt": "a cube", **VEO}}
    answer = await box.held(box.http.post(CLOUDFLARE, json=body, headers=BEARER))
    found = answer.json() if bare else answer.json()["result"]
    assert found["state"] == "Completed"
    film = await box.http.get(found["result"]["video"])
    assert (film.status_code, film.headers["content-type"]) == (200, "video/mp4")
    assert [entry["billable"] for entry in await box.log()] == [320_000]


@pytest.mark.parametrize(
    ("model", "given", "named"),
    [
        ("google/veo-3.1-fast", {"prompt": "x", "seed": 7}, "input/seed"),
        ("google/veo-3.1-fast", {"prompt": "x", "duration": 4}, "input/duration"),
        ("bytedance/seedance-2.0-fast", {"prompt": "x", "resolution": "1080p"}, "input/resolution"),
        ("black-forest-labs/flux-3-video", {"prompt": "x"}, "input/mode"),
        ("black-forest-labs/flux-3-video", {"mode": "i2v", "prompt": "x"}, "input/keyframes"),
        ("black-forest-labs/flux-2-max", {"prompt": "x", "num_images": 2}, "input/num_images"),
    ],
)
async def test_input_outside_the_model_page_is_refused_and_named(
    box: Sandbox, model: str, given: dict[str, object], named: str
) -> None:
    refused = await box.http.post(CLOUDFLARE, json={"model": model, "input": given}, headers=BEARER)
    (error,) = refused.json()["errors"]
    assert (refused.status_code, refused.json()["success"], error["code"]) == (400, False, 5004)
    assert named in error["message"]


async def test_errors_carry_cloudflares_codes(box: Sandbox) -> None:
    seed = await box.http.post(f"{CLOUDFLARE}/{SCHNELL}", json={"prompt": "x", "seed": 1}, headers=BEARER)
    assert (seed.status_code, seed.json()["errors"][0]["code"]) == (400, 5004)
    unknown = await box.http.post(f"{CLOUDFLARE}/@cf/no/model", json={"prompt": "x"}, headers=BEARER)
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (404, 3042)
    keyless = await box.http.post(f"{CLOUDFLARE}/{SCHNELL}", json={"prompt": "x"})
    assert (keyless.status_code, keyless.json()["errors"][0]["code"]) == (401, 10000)
    for reason, expected in (("quota", (429, 3036)), ("capacity", (429, 3040)), ("moderation", (400, 3030))):
        refused = await box.submit("cloudflare", f"[[refuse={reason}]]")
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == expected
    assert "NSFW" in (await box.submit("cloudflare", "[[moderate=output]]")).json()["errors"][0]["message"]
