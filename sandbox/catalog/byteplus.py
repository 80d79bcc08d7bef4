"""BytePlus ModelArk's models. Fields follow the methods of its SDK; one field set serves a whole family."""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Links, Number, Text, Whole
from ..shapes import Either, ListOf, Pixels, Record, Tagged
from .kinds import ModelSpec, Price

_URL = Record({"url": Link(required=True)}, required=True)
_IMAGE: dict[str, Field] = {
    "image_url": _URL,
    "role": Choice(("first_frame", "last_frame", "reference_image")),
}
_CONTENT = Tagged(
    "type",
    {
        "text": {"text": Text(required=True)},
        "image_url": _IMAGE,
        "video_url": {"video_url": _URL, "role": Choice(("reference_video",))},
        "audio_url": {"audio_url": _URL, "role": Choice(("reference_audio",))},
        "draft_task": {"draft_task": Record({"id": Text(required=True)}, required=True)},
    },
)

_IMAGES: dict[str, Field] = {
    "model": Text(required=True),
    "prompt": Text(required=True),
    "image": Either((Link(), Links(14))),
    "response_format": Choice(("url", "b64_json")),
    "size": Pixels("x", 240, 8192, ("1K", "2K", "4K"), most_pixels=4096 * 4096, steepest=16.0),
    "seed": Whole(-1, 2**31 - 1),
    "guidance_scale": Number(1, 10),
    "watermark": Flag(),
    "optimize_prompt": Flag(),
    "optimize_prompt_options": Record(
        {"thinking": Choice(("auto", "enabled", "disabled")), "mode": Choice(("standard", "fast"))}
    ),
    "sequential_image_generation": Choice(("auto", "disabled")),
    "sequential_image_generation_options": Record({"max_images": Whole(1, 15)}),
    "tools": ListOf(Record({"type": Text(required=True)}), 0, 8),
    "output_format": Choice(("jpeg", "png")),
    "layer_decomposition": Flag(),
    "stream": Flag(),
}
_IMAGE_DEFAULTS = {"size": "2048x2048", "output_format": "jpeg", "response_format": "url"}

_TASKS: dict[str, Field] = {
    "model": Text(required=True),
    "content": ListOf(_CONTENT, 1, 20, required=True),
    "safety_identifier": Text(),
    "callback_url": Link(),
    "return_last_frame": Flag(),
    "service_tier": Choice(("default", "flex")),
    "execution_expires_after": Whole(3_600, 259_200),
    "priority": Whole(0, 9),
    "draft": Flag(),
    "camera_fixed": Flag(),
    "watermark": Flag(),
    "seed": Whole(-1, 2**32 - 1),
    "ratio": Choice(("16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive")),
    "output_format": Choice(("mp4", "mov")),
    "omni_reference_task_type": Text(),
}
_RESOLUTIONS = ("480p", "720p", "1080p")
_FILM_DEFAULTS = {"ratio": "adaptive", "duration": 5, "generate_audio": False}


def _image(model: str, micros: int) -> ModelSpec:
    return ModelSpec(
        "byteplus", model, "image", _IMAGES, Price("image", micros), _IMAGE_DEFAULTS, route="images"
    )


def _film(
    model: str,
    seconds: tuple[int, int],
    micros: tuple[int, ...],
    silent_micros: tuple[int, ...] = (),
    *,
    speaks: bool,
) -> ModelSpec:
    """Return a film model with prices for 480p, 720p and, where it makes them, 1080p."""
    resolutions = _RESOLUTIONS[: len(micros)]
    shape: dict[str, Field] = {
        "resolution": Choice(resolutions),
        "duration": Either((Whole(*seconds), Choice((-1,)))) if speaks else Whole(*seconds),
    }
    shape |= {"generate_audio": Flag()} if speaks else {"frames": Whole(29, 289)}
    default = "720p" if speaks else "1080p"
    price = Price(
        "second",
        micros[-1],
        by_resolution=dict(zip(resolutions, micros, strict=True)),
        silent_by_resolution=dict(zip(resolutions, silent_micros, strict=False)),
    )
    return ModelSpec(
        "byteplus",
        model,
        "video",
        _TASKS | shape,
        price,
        _FILM_DEFAULTS | {"resolution": default, "generate_audio": speaks},
        route="tasks",
    )


_LITE = (18_000, 36_000, 90_000)
_NEWEST = (140_000, 310_000, 700_000)

MODELS: tuple[ModelSpec, ...] = (
    _image("seedream-4-0-250828", 30_000),
    _image("seedream-4-5-251128", 40_000),
    _image("seedream-5-0-lite-260128", 35_000),
    _image("seedream-5-0-260128", 35_000),
    _image("seedream-5-0-pro", 60_000),
    _film("seedance-1-0-lite-t2v-250428", (2, 12), _LITE, speaks=False),
    _film("seedance-1-0-lite-i2v-250428", (2, 12), _LITE, speaks=False),
    _film("seedance-1-0-pro-250528", (2, 12), (30_000, 60_000, 150_000), speaks=False),
    _film("seedance-1-0-pro-fast-251015", (2, 12), (15_000, 25_000, 60_000), speaks=False),
    _film(
        "seedance-1-5-pro-251215", (4, 12), (26_000, 52_000, 120_000), (13_000, 26_000, 60_000), speaks=True
    ),
    _film("dreamina-seedance-2-0-260128", (4, 15), _NEWEST, speaks=True),
    _film("dreamina-seedance-2-0-fast-260128", (4, 15), (110_000, 242_000), speaks=True),
    _film("dreamina-seedance-2-5-260628", (4, 15), _NEWEST, speaks=True),
)
