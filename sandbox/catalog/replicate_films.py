"""More films that Replicate hosts: those of Google, ByteDance, BFL, Runway and Alibaba."""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Links, Text, Whole
from .kinds import ModelSpec, Price, Source

_PROMPT = Text(required=True)
_SEED = Whole(-1, 2**32 - 1)
_SEED_31 = Whole(0, 2**31 - 1)
_SEEDANCE_RATIOS = ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "9:21")
_HD = Choice(("720p", "1080p"))
_THREE = Choice(("480p", "720p", "1080p"))
# The schema says from -1 to 15; -1 leaves the choice to the model, and ByteDance makes none of less than 4 seconds.
_SEEDANCE_2_SECONDS = Choice((-1, *range(4, 16)))
_HD_DEFAULTS: dict[str, object] = {"duration": 5, "resolution": "720p", "generate_audio": True}


def _film(
    name: str,
    price: Price,
    seconds: Field,
    fields: dict[str, Field],
    defaults: dict[str, object],
    *,
    source: Source = "schema",
) -> ModelSpec:
    """Return a model; one that always makes sound says so in `defaults` and has no field for it."""
    given = {"prompt": _PROMPT, "duration": seconds, **fields}
    return ModelSpec(
        "replicate", name, "video", given, price, {"aspect_ratio": "16:9", **defaults}, source=source
    )


def _graded(low: int, middle: int, high: int) -> Price:
    return Price("second", middle, by_resolution={"480p": low, "720p": middle, "1080p": high})


_SEEDANCE_1: dict[str, Field] = {
    "aspect_ratio": Choice(_SEEDANCE_RATIOS),
    "resolution": _THREE,
    "camera_fixed": Flag(),
    "fps": Choice((24,)),
    "image": Link(),
    "seed": _SEED,
}
_SEEDANCE_2: dict[str, Field] = {
    "aspect_ratio": Choice((*_SEEDANCE_RATIOS, "adaptive")),
    "image": Link(),
    "last_frame_image": Link(),
    "reference_images": Links(9),
    "reference_videos": Links(3),
    "reference_audios": Links(3),
    "generate_audio": Flag(),
    "seed": _SEED,
}

FILMS: tuple[ModelSpec, ...] = (
    # 1080p is only made in 8 seconds; the schema says so in words, so nothing here refuses the rest.
    _film(
        "google/veo-3.1-lite",
        Price("second", 50_000, by_resolution={"720p": 50_000, "1080p": 80_000}),
        Choice((4, 6, 8)),
        {
            "aspect_ratio": Choice(("16:9", "9:16")),
            "resolution": _HD,
            "image": Link(),
            "last_frame": Link(),
            "seed": _SEED,
        },
        {"duration": 8, "resolution": "720p", "generate_audio": True},
    ),
    _film(
        "bytedance/seedance-1-pro-fast",
        _graded(15_000, 25_000, 60_000),
        Whole(2, 12),
        _SEEDANCE_1,
        {"duration": 5, "resolution": "1080p"},
    ),
    _film(
        "bytedance/seedance-1.5-pro",
        Price("second", 52_000, silent_micros=26_000),
        Whole(2, 12),
        {**_SEEDANCE_1, "last_frame_image": Link(), "generate_audio": Flag()},
        {"duration": 5, "resolution": "720p", "generate_audio": False},
    ),
    _film(
        "bytedance/seedance-2.0",
        _graded(140_000, 310_000, 700_000),
        _SEEDANCE_2_SECONDS,
        {
            **_SEEDANCE_2,
            "prompt": Text(required=True, most=4000),
            "resolution": Choice(("480p", "720p", "1080p", "4k")),
        },
        dict(_HD_DEFAULTS),
    ),
    _film(
        "bytedance/seedance-2.0-fast",
        _graded(110_000, 242_000, 242_000),
        _SEEDANCE_2_SECONDS,
        {**_SEEDANCE_2, "resolution": Choice(("480p", "720p"))},
        dict(_HD_DEFAULTS),
    ),
    # Its duration is one of a few texts, and numbers are refused.
    _film(
        "black-forest-labs/flux-3",
        _graded(170_000, 170_000, 290_000),
        Choice(("auto", *map(str, range(5, 21)))),
        {
            "aspect_ratio": Choice(("auto", "21:9", "2:1", "16:9", "4:3", "1:1", "3:4", "9:16")),
            "resolution": _HD,
            "images": Links(10),
            "start_video": Link(),
            "generate_audio": Flag(),
            "draft": Flag(),
            "safety_tolerance": Whole(0, 4),
        },
        {**_HD_DEFAULTS, "duration": "auto"},
        source="seen",
    ),
    _film(
        "runwayml/gen-4.5",
        Price("second", 120_000),
        Choice((5, 10)),
        {
            "aspect_ratio": Choice(("16:9", "9:16", "4:3", "3:4", "1:1", "21:9")),
            "image": Link(),
            "seed": _SEED,
        },
        {"duration": 5},
    ),
    _film(
        "wan-video/wan-2.7-t2v",
        _graded(100_000, 100_000, 150_000),
        Whole(2, 15),
        {
            "aspect_ratio": Choice(("16:9", "9:16", "1:1", "4:3", "3:4")),
            "resolution": _HD,
            "negative_prompt": Text(),
            "enable_prompt_expansion": Flag(),
            "audio": Link(),
            "seed": _SEED_31,
        },
        {**_HD_DEFAULTS, "resolution": "1080p"},
    ),
    _film(
        "alibaba/wan-3",
        _graded(50_000, 100_000, 200_000),
        Whole(2, 30),
        {
            "aspect_ratio": Choice(("adaptive", "16:9", "9:16", "1:1", "4:3", "3:4")),
            "resolution": _THREE,
            "image": Link(),
            "negative_prompt": Text(),
            "enable_prompt_expansion": Flag(),
            "seed": _SEED,
        },
        {**_HD_DEFAULTS, "resolution": "1080p"},
    ),
)
