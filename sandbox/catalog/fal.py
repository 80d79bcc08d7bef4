"""Fal's models: the input of each is the whole request body."""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Number, Size, Text, Whole
from .kinds import ModelSpec, Price

_PROMPT = Text(required=True)
_SEED = Whole(-1, 2**32 - 1)
_F_FORMAT = Choice(("jpeg", "png"))
_F_SIZE = Size(
    ("square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"), 64, 2048
)
_VIDEO_RATIO = Choice(("16:9", "9:16"))
_WIDE_RATIO = Choice(("21:9", "16:9", "4:3", "1:1", "3:4", "9:16"))
_HD = Choice(("720p", "1080p"))
_SEEDANCE_RESOLUTION = Choice(("480p", "720p", "1080p"))
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
