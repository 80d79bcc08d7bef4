"""Alibaba Cloud Model Studio's models. Fields follow its SDK and the reference pages of each family.

`route` names the task: "chat" (pictures by messages, at once or as a task), "text2image" (older pictures, as a task) and
"film" (videos, as a task).
"""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Text, Whole
from ..shapes import Either, ListOf, OneKey, Pixels, Record
from .kinds import ModelSpec, Price

_SEED = Whole(0, 2**31 - 1)
_MODEL = Text(required=True)

# What the reference page of each family says of sizes: wan 2.2 limits each side, all others the pixels in all.
_SIZE = Pixels("*", 256, 4096, least_pixels=512 * 512, most_pixels=2048 * 2048, steepest=8.0)
# The page of wan 2.6 recommends four sizes that have slightly fewer pixels than it demands.
_WAN_26_NAMED = ("1696*960", "960*1696", "1472*1104", "1104*1472")
_WAN_26_SIZE = Pixels(
    "*", 640, 2880, _WAN_26_NAMED, least_pixels=1280 * 1280, most_pixels=1440 * 1440, steepest=4.0
)
_WAN_22_SIZE = Pixels("*", 512, 1440)

_PICTURE: dict[str, Field] = {
    "n": Whole(1, 6),
    "size": _SIZE,
    "seed": _SEED,
    "negative_prompt": Text(most=500),
    "prompt_extend": Flag(),
    "watermark": Flag(),
}
_MESSAGES = ListOf(
    Record(
        {
            "role": Choice(("user",), required=True),
            "content": ListOf(
                OneKey({"text": Text(), "image": Either((Link(), Text()))}), 1, 12, required=True
            ),
        }
    ),
    1,
    1,
    required=True,
)

_FILM: dict[str, Field] = {
    "resolution": Choice(("480P", "720P", "1080P")),
    "duration": Whole(2, 15),
    "seed": _SEED,
    "prompt_extend": Flag(),
    "watermark": Flag(),
}
_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4")
_MEDIA = ListOf(
    Record(
        {
            "type": Choice(
                (
                    *("first_frame", "last_frame", "reference_image", "reference_video", "reference_audio"),
                    *("driving_audio", "first_clip", "file", "link"),
                ),
                required=True,
            ),
            "url": Link(required=True),
        }
    ),
    1,
    12,
)
_FILM_INPUT: dict[str, Field] = {
    "prompt": Text(most=5_000),
    "negative_prompt": Text(most=500),
    "media": _MEDIA,
    # Two fields that the older surface of the SDK adds by itself.
    "extend_prompt": Flag(),
    "function": Text(),
}
_OLD_FILM_INPUT: dict[str, Field] = {
    "prompt": Text(most=2_000),
    "negative_prompt": Text(most=500),
    "img_url": Link(),
    "audio_url": Link(),
    "extend_prompt": Flag(),
    "function": Text(),
}


def _chat(
    model: str,
    micros: int,
    most: int = 6,
    *,
    spare: bool = False,
    size: Field = _SIZE,
    usual_size: str = "1024*1024",
) -> ModelSpec:
    """Return a picture model that takes messages; a spare one has no count, negative prompt or watermark."""
    given = {**_PICTURE, "n": Whole(1, most), "size": size}
    if model.startswith("wan2.7"):
        names = ("1K", "2K", "4K")
        given |= {
            "size": Pixels("*", 256, 4096, names, most_pixels=4096 * 4096, steepest=8.0),
            "thinking_mode": Flag(),
            "enable_sequential": Flag(),
        }
    if spare:
        given = {name: given[name] for name in ("size", "seed", "prompt_extend")}
    return ModelSpec(
        "alibabacloud",
        model,
        "image",
        {
            "model": _MODEL,
            "input": Record({"messages": _MESSAGES}, required=True),
            "parameters": Record(given),
        },
        Price("image", micros),
        {"size": usual_size, "n": 1},
        route="chat",
    )


def _text2image(model: str, micros: int) -> ModelSpec:
    given = {**_PICTURE, "n": Whole(1, 4)}
    if model.startswith("wan2.2"):
        given["size"] = _WAN_22_SIZE
    words = Record(
        {"prompt": Text(required=True, most=2_000), "negative_prompt": Text(most=500)}, required=True
    )
    return ModelSpec(
        "alibabacloud",
        model,
        "image",
        {"model": _MODEL, "input": words, "parameters": Record(given)},
        Price("image", micros),
        {"size": "1024*1024", "n": 4 if model.startswith("wan") else 1},
        route="text2image",
    )


def _film(
    model: str,
    micros: tuple[int, int, int],
    seconds: tuple[int, int] = (2, 15),
    more: dict[str, Field] | None = None,
    *,
    old: bool = False,
) -> ModelSpec:
    """Return a film model with prices for 480P, 720P and 1080P; an old one takes a size instead of a ratio."""
    given = {**_FILM, "duration": Whole(*seconds), **(more or {})}
    given |= {"size": Pixels("*", 240, 2048)} if old else {"ratio": Choice(_RATIOS)}
    if model.startswith("wan3"):
        given |= {
            "ratio": Choice(("adaptive", "21:9", *_RATIOS)),
            "duration": Either((Whole(*seconds), Choice((-1,)))),
            "seed": Whole(-1, 2**31 - 1),
        }
    return ModelSpec(
        "alibabacloud",
        model,
        "video",
        {
            "model": _MODEL,
            "input": Record(_OLD_FILM_INPUT if old else _FILM_INPUT, required=True),
            "parameters": Record(given),
        },
        Price(
            "second",
            micros[2],
            by_resolution=dict(zip(("480P", "720P", "1080P"), micros, strict=True)),
            graded_by="parameters.resolution",
        ),
        {"duration": 5, "ratio": "16:9", "parameters": {"resolution": "1080P"}},
        route="film",
    )


_WAN_3 = (41_300, 82_500, 165_000)
_WAN_2_7 = (100_000, 100_000, 150_000)
_SOUND: dict[str, Field] = {"audio": Flag()}
_SHOTS: dict[str, Field] = {"audio": Flag(), "shot_type": Choice(("single", "multi"))}

MODELS: tuple[ModelSpec, ...] = (
    _chat("qwen-image-3.0", 40_000),
    _chat("qwen-image-3.0-pro", 80_000),
    _chat("qwen-image-2.0", 35_000),
    _chat("qwen-image-2.0-pro", 75_000),
    _chat("qwen-image", 35_000, 1),
    _chat("qwen-image-plus", 30_000, 1),
    _chat("qwen-image-max", 75_000, 1),
    _chat("qwen-image-edit", 45_000, 1),
    _chat("qwen-image-edit-plus", 30_000),
    _chat("qwen-image-edit-max", 75_000),
    _chat("wan2.6-t2i", 30_000, 4, size=_WAN_26_SIZE, usual_size="1280*1280"),
    _chat("wan2.6-image", 30_000, 5),
    _chat("wan2.7-image", 30_000, 12),
    _chat("wan2.7-image-pro", 75_000, 12),
    _chat("z-image-turbo", 15_000, spare=True, usual_size="1024*1536"),
    _text2image("wan2.2-t2i-flash", 30_000),
    _text2image("wan2.2-t2i-plus", 50_000),
    _text2image("wan2.5-t2i-preview", 30_000),
    _text2image("qwen-image", 35_000),
    _text2image("qwen-image-plus", 30_000),
    _film("wan3.0-video", _WAN_3, (2, 30), _SOUND),
    _film("wan3.0-video-prime", _WAN_3, (2, 30), _SOUND),
    _film("wan2.7-t2v", _WAN_2_7),
    _film("wan2.7-i2v-2026-04-25", _WAN_2_7),
    _film("wan2.7-r2v", _WAN_2_7),
    _film("happyhorse-1.0-t2v", _WAN_2_7, (3, 15)),
    _film("happyhorse-1.0-i2v", _WAN_2_7, (3, 15)),
    _film("wan2.6-t2v", _WAN_2_7, (2, 15), _SHOTS, old=True),
    _film("wan2.6-i2v", _WAN_2_7, (2, 15), _SHOTS, old=True),
    _film("wan2.5-t2v-preview", (50_000, 100_000, 150_000), (5, 10), _SOUND, old=True),
    _film("wan2.2-t2v-plus", (20_000, 50_000, 100_000), (5, 5), old=True),
)
