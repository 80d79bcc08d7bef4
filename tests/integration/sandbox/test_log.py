from __future__ import annotations

import hashlib
import json

import httpx

from sandbox.app import create_app
from sandbox.config import SandboxConfig
from tests.integration.sandbox.driving import FAL_HEADERS, REPLICATE_HEADERS, Sandbox


async def test_the_log_tells_what_was_submitted_and_what_it_costs(box: Sandbox) -> None:
    body = json.dumps({"input": {"prompt": "a secret cube", "num_outputs": 3}}).encode()
    model = "black-forest-labs/flux-schnell"
    await box.http.post(
        f"/replicate/v1/models/{model}/predictions",
        content=body,
        headers=REPLICATE_HEADERS | {"content-type": "application/json"},
    )
    (entry,) = await box.log()
    assert (entry["provider"], entry["model"], entry["outcome"]) == ("replicate", model, "accepted")
    assert entry["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert (entry["state"], entry["billable"]) == ("queued", 0)
    box.clock.advance(10)
    (entry,) = await box.log()
    assert (entry["state"], entry["billable"]) == ("succeeded", 9_000)

    seen = (await box.http.get("/_sandbox/log")).text + (await box.http.get("/_sandbox/jobs")).text
    assert "secret" not in seen


async def test_only_finished_work_is_billable(box: Sandbox) -> None:
    await box.replicate({"prompt": "[[fail]]"})
    await box.replicate({"prompt": "[[moderate]]"})
    await box.replicate({"prompt": "x", "nonsense": 1})
    canceled = (await box.fal({"prompt": "x [[slow=90000]]"})).json()
    await box.http.put(canceled["cancel_url"], headers=FAL_HEADERS)
    box.clock.advance(100)
    entries = await box.log()
    assert [entry["outcome"] for entry in entries] == ["accepted", "accepted", "invalid", "accepted"]
    assert [entry["state"] for entry in entries] == ["failed", "moderated", None, "canceled"]
    assert {entry["billable"] for entry in entries} == {0}


async def test_prices_follow_count_size_duration_resolution_and_sound(box: Sandbox) -> None:
    await box.fal({"prompt": "x", "image_size": "square_hd", "num_images": 2})
    await box.fal({"prompt": "x", "duration": "8s"}, "fal-ai/veo3.1")
    await box.fal({"prompt": "x", "duration": "8s", "generate_audio": False}, "fal-ai/veo3.1")
    await box.fal(
        {"prompt": "x", "duration": "5", "resolution": "480p"},
        "fal-ai/bytedance/seedance/v1/pro/text-to-video",
    )
    await box.fal({"prompt": "x"}, "fal-ai/minimax/video-01")
    box.clock.advance(10)
    billed = [entry["billable"] for entry in await box.log()]
    assert billed == [12_000, 3_200_000, 1_600_000, 150_000, 500_000]


async def test_the_log_is_read_by_provider_and_from_a_cursor(box: Sandbox) -> None:
    await box.replicate({"prompt": "x"})
    await box.fal({"prompt": "x"})
    assert [entry["provider"] for entry in await box.log(provider="fal")] == ["fal"]
    last = (await box.http.get("/_sandbox/log")).json()["last"]
    assert await box.log(since=last) == []
    await box.replicate({"prompt": "x"})
    assert [entry["sequence"] for entry in await box.log(since=last)] == [last + 1]


async def test_jobs_and_log_are_bounded_and_bodies_kept_only_on_demand() -> None:
    app = create_app(SandboxConfig(max_jobs=2, max_log=3, keep_bodies=True, max_body_bytes=200))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
        for number in range(5):
            body = {"prompt": f"number {number}"}
            assert (
                await http.post("/fal/fal-ai/flux/dev", json=body, headers=FAL_HEADERS)
            ).status_code == 200
        assert len((await http.get("/_sandbox/jobs")).json()["jobs"]) == 2
        entries = (await http.get("/_sandbox/log")).json()["entries"]
        assert [json.loads(entry["body"])["prompt"] for entry in entries] == [
            "number 2",
            "number 3",
            "number 4",
        ]

        long = await http.post("/fal/fal-ai/flux/dev", json={"prompt": "x" * 300}, headers=FAL_HEADERS)
        assert (long.status_code, long.headers["x-fal-error-type"]) == (413, "bad_request")


async def test_a_public_url_takes_the_place_of_the_host() -> None:
    transport = httpx.ASGITransport(create_app(SandboxConfig(public_url="https://box.example/")))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
        answer = await http.post("/fal/fal-ai/flux/dev", json={"prompt": "x"}, headers=FAL_HEADERS)
    assert answer.json()["status_url"].startswith("https://box.example/fal/fal-ai/flux/requests/")
