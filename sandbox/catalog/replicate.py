"""Replicate's models: the input of each, as its OpenAPI schema names it.

The schemas give a seed no bounds, unless a model says otherwise. Left out are the fields that load LoRA weights.
"""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Links, Number, Text, Whole
from .kinds import ModelSpec, Price

_PROMPT = Text(required=True)
_SEED = Whole(-1, 2**32 - 1)
_R_RATIO = Choice(("1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21"))
_R_FORMAT = Choice(("webp", "jpg", "png"))
_VIDEO_RATIO = Choice(("16:9", "9:16"))
_WIDE_RATIO = Choice(("16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "9:21"))
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
        source="schema",
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
        source="schema",
    ),
    ModelSpec(
        "replicate",
        "black-forest-labs/flux-1.1-pro",
        "image",
        {
            "prompt": _PROMPT,
            "aspect_ratio": Choice(
                ("custom", "1:1", "16:9", "3:2", "2:3", "4:5", "5:4", "9:16", "3:4", "4:3")
            ),
            "width": Whole(256, 1440),
            "height": Whole(256, 1440),
            "image_prompt": Link(),
            "prompt_upsampling": Flag(),
            "safety_tolerance": Whole(1, 6),
            "seed": _SEED,
            "output_format": _R_FORMAT,
            "output_quality": Whole(0, 100),
        },
        Price("image", 40_000),
        _R_IMAGE_DEFAULTS,
        single_output=True,
        source="schema",
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
        source="schema",
    ),
    ModelSpec(
        "replicate",
        "google/veo-3.1",
        "video",
        _R_VEO | {"reference_images": Links(3)},
        _VEO_PRICE,
        _R_VEO_DEFAULTS,
        source="schema",
    ),
    ModelSpec(
        "replicate",
        "google/veo-3.1-fast",
        "video",
        _R_VEO,
        _VEO_FAST_PRICE,
        _R_VEO_DEFAULTS,
        source="schema",
    ),
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
        source="seen",
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
        source="schema",
    ),
)
