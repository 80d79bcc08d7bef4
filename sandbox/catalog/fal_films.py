"""Fal's models of films, as the types of its SDK have them; see `fal_words` for what those do not say."""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Text, Whole
from .fal_words import (
    BOTH,
    CHECKED,
    FILM,
    FIRST,
    SAFETY,
    SEED,
    SHORT_SEED,
    film,
    graded,
    seconds,
)
from .kinds import ModelSpec, Price

_WIDE = ("21:9", "16:9", "4:3", "1:1", "3:4", "9:16")
_THREE = Choice(("480p", "720p", "1080p"))
_TWO = Choice(("720p", "1080p"))

_VEO: dict[str, Field] = {
    "aspect_ratio": Choice(("16:9", "9:16")),
    "duration": Choice(("4s", "6s", "8s")),
    "resolution": _TWO,
    "generate_audio": Flag(),
    "negative_prompt": Text(),
    "auto_fix": Flag(),
    "safety_tolerance": SAFETY,
    "seed": SEED,
}
_VEO_OF_PICTURE: dict[str, Field] = {**_VEO, **FIRST, "aspect_ratio": Choice(("auto", "16:9", "9:16"))}
_SEEDANCE_1: dict[str, Field] = {
    **CHECKED,
    "aspect_ratio": Choice((*_WIDE, "9:21")),
    "resolution": _THREE,
    "duration": seconds(2, 12),
    "camera_fixed": Flag(),
    "num_frames": Whole(29, 289),
    "seed": SEED,
}
SEEDANCE_15: dict[str, Field] = {
    **CHECKED,
    "aspect_ratio": Choice((*_WIDE, "auto")),
    "resolution": _THREE,
    "duration": seconds(4, 12),
    "camera_fixed": Flag(),
    "generate_audio": Flag(),
    "seed": SEED,
}
WAN_27: dict[str, Field] = {
    **CHECKED,
    "prompt": Text(required=True, most=5_000),
    "aspect_ratio": Choice(("16:9", "9:16", "1:1", "4:3", "3:4")),
    "resolution": _TWO,
    "duration": seconds(2, 15),
    "negative_prompt": Text(most=500),
    "enable_prompt_expansion": Flag(),
    "audio_url": Link(),
    "seed": SHORT_SEED,
}
_VEO_DEFAULTS = {"duration": "8s", "generate_audio": True}
_VEO_PRICE = Price("second", 400_000, silent_micros=200_000)
_SEEDANCE_15_PRICE = Price(
    "second",
    52_000,
    by_resolution={"480p": 26_000, "720p": 52_000, "1080p": 120_000},
    silent_by_resolution={"480p": 13_000, "720p": 26_000, "1080p": 60_000},
)
_VEO_LITE_PRICE = Price(
    "second",
    50_000,
    by_resolution={"720p": 50_000, "1080p": 80_000},
    silent_by_resolution={"720p": 30_000, "1080p": 50_000},
)


def _veo(name: str, price: Price) -> ModelSpec:
    return film(name, _VEO, price, FILM, **_VEO_DEFAULTS)


def _veo_of_picture(name: str, price: Price) -> ModelSpec:
    return film(f"{name}/image-to-video", _VEO_OF_PICTURE, price, FILM, aspect_ratio="auto", **_VEO_DEFAULTS)


MODELS: tuple[ModelSpec, ...] = (
    _veo("fal-ai/veo3.1", _VEO_PRICE),
    _veo_of_picture("fal-ai/veo3.1", _VEO_PRICE),
    _veo("fal-ai/veo3.1/fast", Price("second", 150_000, silent_micros=100_000)),
    _veo("fal-ai/veo3.1/lite", _VEO_LITE_PRICE),
    _veo_of_picture("fal-ai/veo3.1/lite", _VEO_LITE_PRICE),
    film("fal-ai/bytedance/seedance/v1/pro/text-to-video", _SEEDANCE_1, graded(30_000, 60_000, 150_000)),
    film("fal-ai/bytedance/seedance/v1/pro/fast/text-to-video", _SEEDANCE_1, graded(15_000, 25_000, 60_000)),
    film(
        "fal-ai/bytedance/seedance/v1/pro/fast/image-to-video",
        _SEEDANCE_1 | FIRST | {"aspect_ratio": Choice((*_WIDE, "auto"))},
        graded(15_000, 25_000, 60_000),
        aspect_ratio="auto",
        resolution="1080p",
    ),
    film(
        "fal-ai/bytedance/seedance/v1.5/pro/text-to-video",
        SEEDANCE_15,
        _SEEDANCE_15_PRICE,
        generate_audio=True,
    ),
    film(
        "fal-ai/bytedance/seedance/v1.5/pro/image-to-video",
        SEEDANCE_15 | BOTH,
        _SEEDANCE_15_PRICE,
        generate_audio=True,
    ),
    film("fal-ai/wan/v2.7/text-to-video", WAN_27, graded(100_000, 100_000, 150_000), resolution="1080p"),
    # It always makes six seconds of 16:9.
    film(
        "fal-ai/minimax/video-01",
        {"prompt_optimizer": Flag()},
        Price("video", 500_000),
        FILM,
        duration="6",
    ),
)
