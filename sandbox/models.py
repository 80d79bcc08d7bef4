"""The models each provider serves: input fields, defaults and prices. Data, not code.

Which fields come from provider documentation and which are assumed is said in docs/sandbox.md.
Prices are upstream list prices in micro-dollars; they feed the log's `billable` figure and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .schema import Choice, Field, Flag, Link, Links, Number, Size, Text, Whole


@dataclass(frozen=True)
class Price:
    """What a finished job costs upstream."""

    unit: Literal["image", "megapixel", "second", "video"]
    micros: int
    """Micro-dollars per unit."""

    silent_micros: int | None = None
    """Per unit when the model can make sound and was told not to."""

    by_resolution: Mapping[str, int] = field(default_factory=dict)
    """Per unit, where it depends on the resolution asked for."""


@dataclass(frozen=True)
class ModelSpec:
    """One model at one provider."""

    provider: str
    id: str
    media: Literal["image", "video"]
    fields: Mapping[str, Field]
    price: Price
    defaults: Mapping[str, object]
    """Native values of the fields that shape the media, when a request leaves them out."""

    single_output: bool = False
    """Replicate only: a picture comes back as one URL instead of a list."""


_PROMPT = Text(required=True)
_SEED = Whole(-1, 2**32 - 1)
_R_RATIO = Choice(("1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21"))
_R_FORMAT = Choice(("webp", "jpg", "png"))
_F_FORMAT = Choice(("jpeg", "png"))
_F_SIZE = Size(
    ("square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"), 64, 2048
)
_VIDEO_RATIO = Choice(("16:9", "9:16"))
_WIDE_RATIO = Choice(("21:9", "16:9", "4:3", "1:1", "3:4", "9:16"))
_HD = Choice(("720p", "1080p"))
_SEEDANCE_RESOLUTION = Choice(("480p", "720p", "1080p"))

_R_FLUX: dict[str, Field] = {
    "prompt": _PROMPT,
    "aspect_ratio": _R_RATIO,
    "num_outputs": Whole(1, 4),
    "seed": _SEED,
    "output_format": _R_FORMAT,
    "output_quality": Whole(0, 100),
    "go_fast": Flag(),
    "megapixels": Choice(("1", "0.25")),
    "disable_safety_checker": Flag(),
}
_R_IMAGE_DEFAULTS = {"aspect_ratio": "1:1", "num_outputs": 1, "output_format": "webp", "output_quality": 80}

_R_VEO: dict[str, Field] = {
    "prompt": _PROMPT,
    "aspect_ratio": _VIDEO_RATIO,
    "duration": Choice((4, 6, 8)),
    "resolution": _HD,
    "generate_audio": Flag(),
    "seed": _SEED,
    "image": Link(),
    "last_frame": Link(),
    "negative_prompt": Text(),
}
_R_VEO_DEFAULTS = {"aspect_ratio": "16:9", "duration": 8, "resolution": "1080p", "generate_audio": True}

_F_FLUX: dict[str, Field] = {
    "prompt": _PROMPT,
    "image_size": _F_SIZE,
    "num_images": Whole(1, 4),
    "seed": _SEED,
    "output_format": _F_FORMAT,
    "guidance_scale": Number(1, 20),
    "enable_safety_checker": Flag(),
    "sync_mode": Flag(),
    "acceleration": Choice(("none", "regular", "high")),
}
_F_IMAGE_DEFAULTS = {"image_size": "landscape_4_3", "num_images": 1, "output_format": "jpeg"}

_F_VEO: dict[str, Field] = {
    "prompt": _PROMPT,
    "aspect_ratio": _VIDEO_RATIO,
    "duration": Choice(("4s", "6s", "8s")),
    "resolution": _HD,
    "generate_audio": Flag(),
    "seed": _SEED,
    "negative_prompt": Text(),
    "enhance_prompt": Flag(),
}
_F_VEO_DEFAULTS = {"aspect_ratio": "16:9", "duration": "8s", "resolution": "720p", "generate_audio": True}

_SEEDANCE_PRICE = Price("second", 60_000, by_resolution={"480p": 30_000, "720p": 60_000, "1080p": 150_000})
_VEO_PRICE = Price("second", 400_000, silent_micros=200_000)
_VEO_FAST_PRICE = Price("second", 150_000, silent_micros=100_000)
_MINIMAX_DEFAULTS = {"aspect_ratio": "16:9", "duration": 6}

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        "replicate",
        "black-forest-labs/flux-schnell",
        "image",
        _R_FLUX | {"num_inference_steps": Whole(1, 4)},
        Price("image", 3_000),
        _R_IMAGE_DEFAULTS,
    ),
    ModelSpec(
        "replicate",
        "black-forest-labs/flux-dev",
        "image",
        _R_FLUX
        | {
            "num_inference_steps": Whole(1, 50),
            "guidance": Number(0, 10),
            "image": Link(),
            "prompt_strength": Number(0, 1),
        },
        Price("image", 25_000),
        _R_IMAGE_DEFAULTS,
    ),
    ModelSpec(
        "replicate",
        "black-forest-labs/flux-1.1-pro",
        "image",
        {
            "prompt": _PROMPT,
            "aspect_ratio": _R_RATIO,
            "image_prompt": Link(),
            "prompt_upsampling": Flag(),
            "safety_tolerance": Whole(1, 6),
            "seed": _SEED,
            "output_format": _R_FORMAT,
            "output_quality": Whole(0, 100),
        },
        Price("image", 40_000),
        _R_IMAGE_DEFAULTS,
    ),
    ModelSpec(
        "replicate",
        "qwen/qwen-image",
        "image",
        {
            "prompt": _PROMPT,
            "negative_prompt": Text(),
            "aspect_ratio": Choice(("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3")),
            "image_size": Choice(("optimize_for_quality", "optimize_for_speed")),
            "image": Link(),
            "strength": Number(0, 1),
            "num_inference_steps": Whole(1, 50),
            "guidance": Number(0, 10),
            "enhance_prompt": Flag(),
            "go_fast": Flag(),
            "seed": _SEED,
            "output_format": _R_FORMAT,
            "output_quality": Whole(0, 100),
            "disable_safety_checker": Flag(),
        },
        Price("image", 25_000),
        _R_IMAGE_DEFAULTS | {"aspect_ratio": "16:9"},
    ),
    ModelSpec(
        "replicate",
        "google/veo-3.1",
        "video",
        _R_VEO | {"reference_images": Links(3)},
        _VEO_PRICE,
        _R_VEO_DEFAULTS,
    ),
    ModelSpec("replicate", "google/veo-3.1-fast", "video", _R_VEO, _VEO_FAST_PRICE, _R_VEO_DEFAULTS),
    ModelSpec(
        "replicate",
        "bytedance/seedance-1-pro",
        "video",
        {
            "prompt": _PROMPT,
            "aspect_ratio": _WIDE_RATIO,
            "duration": Whole(2, 12),
            "resolution": _SEEDANCE_RESOLUTION,
            "fps": Choice((24,)),
            "camera_fixed": Flag(),
            "seed": _SEED,
            "image": Link(),
            "last_frame_image": Link(),
        },
        _SEEDANCE_PRICE,
        {"aspect_ratio": "16:9", "duration": 5, "resolution": "1080p"},
    ),
    ModelSpec(
        "replicate",
        "minimax/video-01",
        "video",
        {
            "prompt": _PROMPT,
            "prompt_optimizer": Flag(),
            "first_frame_image": Link(),
            "subject_reference": Link(),
        },
        Price("video", 500_000),
        _MINIMAX_DEFAULTS,
    ),
    ModelSpec(
        "fal",
        "fal-ai/flux/schnell",
        "image",
        _F_FLUX | {"num_inference_steps": Whole(1, 12)},
        Price("megapixel", 3_000),
        _F_IMAGE_DEFAULTS,
    ),
    ModelSpec(
        "fal",
        "fal-ai/flux/dev",
        "image",
        _F_FLUX | {"num_inference_steps": Whole(1, 50)},
        Price("megapixel", 25_000),
        _F_IMAGE_DEFAULTS,
    ),
    ModelSpec(
        "fal",
        "fal-ai/flux-pro/v1.1",
        "image",
        {
            "prompt": _PROMPT,
            "image_size": _F_SIZE,
            "num_images": Whole(1, 4),
            "seed": _SEED,
            "output_format": _F_FORMAT,
            "safety_tolerance": Choice(("1", "2", "3", "4", "5", "6")),
            "enable_safety_checker": Flag(),
            "enhance_prompt": Flag(),
            "sync_mode": Flag(),
        },
        Price("megapixel", 40_000),
        _F_IMAGE_DEFAULTS,
    ),
    ModelSpec(
        "fal",
        "fal-ai/qwen-image",
        "image",
        _F_FLUX | {"num_inference_steps": Whole(2, 250), "negative_prompt": Text()},
        Price("megapixel", 20_000),
        _F_IMAGE_DEFAULTS | {"output_format": "png"},
    ),
    ModelSpec("fal", "fal-ai/veo3.1", "video", _F_VEO, _VEO_PRICE, _F_VEO_DEFAULTS),
    ModelSpec("fal", "fal-ai/veo3.1/fast", "video", _F_VEO, _VEO_FAST_PRICE, _F_VEO_DEFAULTS),
    ModelSpec(
        "fal",
        "fal-ai/bytedance/seedance/v1/pro/text-to-video",
        "video",
        {
            "prompt": _PROMPT,
            "aspect_ratio": _WIDE_RATIO,
            "duration": Choice(tuple(str(seconds) for seconds in range(2, 13))),
            "resolution": _SEEDANCE_RESOLUTION,
            "camera_fixed": Flag(),
            "seed": _SEED,
            "enable_safety_checker": Flag(),
            "image_url": Link(),
        },
        _SEEDANCE_PRICE,
        {"aspect_ratio": "16:9", "duration": "5", "resolution": "1080p"},
    ),
    ModelSpec(
        "fal",
        "fal-ai/minimax/video-01",
        "video",
        {"prompt": _PROMPT, "prompt_optimizer": Flag(), "image_url": Link()},
        Price("video", 500_000),
        _MINIMAX_DEFAULTS,
    ),
)

_BY_NAME: dict[tuple[str, str], ModelSpec] = {(spec.provider, spec.id): spec for spec in MODELS}


def find_model(provider: str, model_id: str) -> ModelSpec | None:
    """Return the model `model_id` of `provider`, or None when it does not serve one."""
    return _BY_NAME.get((provider, model_id))
