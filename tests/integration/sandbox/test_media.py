from __future__ import annotations

import asyncio
import io

import av
import pytest
from PIL import Image

from tests.integration.sandbox.driving import Sandbox


async def _fetch(box: Sandbox, url: str) -> tuple[bytes, str]:
    answer = await box.http.get(url)
    assert answer.status_code == 200
    return answer.content, answer.headers["content-type"]


@pytest.mark.parametrize(
    ("native", "form", "content_type"),
    [("png", "PNG", "image/png"), ("jpg", "JPEG", "image/jpeg"), ("webp", "WEBP", "image/webp")],
)
@pytest.mark.parametrize(
    ("ratio", "size"), [("1:1", (1024, 1024)), ("16:9", (1024, 576)), ("9:21", (439, 1024))]
)
async def test_each_image_format_decodes_at_the_ratio_asked(
    box: Sandbox, native: str, form: str, content_type: str, ratio: str, size: tuple[int, int]
) -> None:
    done = await box.replicate_result(
        {"prompt": "a red cube on a blue sea", "aspect_ratio": ratio, "output_format": native, "seed": 7}
    )
    content, kind = await _fetch(box, done["output"][0])
    assert kind == content_type
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        assert (picture.format, picture.size) == (form, size)
        assert not any("cube" in str(value) for value in picture.info.values())
    assert b"cube" not in content


async def test_a_picture_follows_its_prompt_and_seed_and_nothing_else(box: Sandbox) -> None:
    async def draw(prompt: str, seed: int) -> bytes:
        done = await box.replicate_result({"prompt": prompt, "seed": seed, "output_format": "png"})
        return (await _fetch(box, done["output"][0]))[0]

    first = await draw("a red cube", 7)
    assert await draw("a red cube", 7) == first
    assert await draw("a red cube", 8) != first
    assert await draw("a blue cube", 7) != first


async def test_the_outputs_of_one_job_differ(box: Sandbox) -> None:
    done = await box.replicate_result({"prompt": "a tree", "num_outputs": 3, "output_format": "png"})
    contents = {(await _fetch(box, url))[0] for url in done["output"]}
    assert len(contents) == 3


@pytest.mark.parametrize(
    ("model", "given", "seconds", "ratio", "audio"),
    [
        ("google/veo-3.1", {"duration": 8, "generate_audio": True}, 8, 16 / 9, True),
        ("google/veo-3.1-fast", {"duration": 4, "generate_audio": False}, 4, 16 / 9, False),
        ("google/veo-3.1-fast", {"duration": 6, "aspect_ratio": "9:16"}, 6, 9 / 16, True),
        ("bytedance/seedance-1-pro", {"duration": 5, "aspect_ratio": "21:9"}, 5, 21 / 9, False),
        ("minimax/video-01", {}, 6, 16 / 9, False),
    ],
)
async def test_a_film_plays_for_the_time_and_in_the_ratio_asked(
    box: Sandbox, model: str, given: dict[str, object], seconds: int, ratio: float, audio: bool
) -> None:
    done = await box.replicate_result({"prompt": "a red boat on the sea", **given}, model)
    content, kind = await _fetch(box, done["output"])
    assert kind == "video/mp4"
    assert b"boat" not in content
    with av.open(io.BytesIO(content), "r") as film:
        assert film.duration is not None
        assert film.duration / 1_000_000 == pytest.approx(seconds, abs=0.1)
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.width / stream.height == pytest.approx(ratio, rel=0.02)
        assert [sound.codec_context.name for sound in film.streams.audio] == (["aac"] if audio else [])
        frames = [bytes(frame.planes[0]) for frame in film.decode(stream)]
    assert len(frames) == seconds * 12
    assert frames[0] != frames[-1]


async def test_health_is_answered_while_films_are_encoded(box: Sandbox) -> None:
    films = [
        (await box.replicate_result({"prompt": "x", "seed": n, "duration": 12}, "bytedance/seedance-1-pro"))[
            "output"
        ]
        for n in range(3)
    ]
    fetching = asyncio.gather(*(_fetch(box, url) for url in films))
    answered = 0
    while not fetching.done():
        assert (await box.http.get("/_sandbox/health")).status_code == 200
        answered += 1
    await fetching
    assert answered >= 3


async def test_a_file_exists_only_after_success(box: Sandbox) -> None:
    created = (await box.replicate({"prompt": "x [[slow=5000]]"})).json()
    path = f"/_files/replicate/{created['id']}/out-0.webp"
    assert (await box.http.get(path)).status_code == 404
    box.clock.advance(6)
    assert (await box.http.get(path)).status_code == 200
    assert (await box.http.head(path)).content == b""
    assert (await box.http.get(path.replace("out-0", "out-1"))).status_code == 404
