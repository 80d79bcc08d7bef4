"""More models that Replicate hosts: those of BFL, ByteDance, Google, OpenAI, Alibaba and others."""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Links, Number, Text, Whole
from .kinds import ModelSpec, Price

_PROMPT = Text(required=True)
_SEED = Whole(-1, 2**32 - 1)
_QUALITY = Whole(0, 100)
_FORMAT = Choice(("webp", "jpg", "png"))
_TWO_FORMATS = Choice(("jpg", "png"))
_JPEG_FORMATS = Choice(("png", "jpeg"))
_RATIOS = ("1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21")
_RATIO = Choice(_RATIOS)
_KEEP_RATIO = Choice(("match_input_image", *_RATIOS))
_GOOGLE_RATIO = Choice(("1:1", "9:16", "16:9", "3:4", "4:3"))
_FILM_RATIO = Choice(("21:9", "16:9", "4:3", "1:1", "3:4", "9:16"))
_SAFETY = Choice(("block_low_and_above", "block_medium_and_above", "block_only_high"))
_DEFAULTS = {"aspect_ratio": "1:1", "num_outputs": 1, "output_format": "png", "output_quality": 80}
_JPG = _DEFAULTS | {"output_format": "jpg"}


def _picture(
    name: str,
    micros: int,
    fields: dict[str, Field],
    defaults: dict[str, object] | None = None,
    file_micros: int = 0,
) -> ModelSpec:
    given: dict[str, Field] = {"prompt": _PROMPT, "aspect_ratio": _RATIO, **fields}
    # Hosted pictures of these makers come back as one URL when there is no count.
    single = not {"num_outputs", "number_of_images", "max_images"} & set(given)
    return ModelSpec(
        "replicate",
        name,
        "image",
        given,
        Price("image", micros, file_micros=file_micros, file_fields="input_images"),
        _DEFAULTS | (defaults or {}),
        single_output=single,
    )


def _film(
    name: str, price: Price, seconds: Field, fields: dict[str, Field], defaults: dict[str, object]
) -> ModelSpec:
    given: dict[str, Field] = {
        "prompt": _PROMPT,
        "aspect_ratio": _FILM_RATIO,
        "duration": seconds,
        "seed": _SEED,
        **fields,
    }
    return ModelSpec("replicate", name, "video", given, price, {"aspect_ratio": "16:9", **defaults})


def _graded(low: int, middle: int, high: int) -> Price:
    return Price("second", middle, by_resolution={"480p": low, "720p": middle, "1080p": high})


_FLUX_2: dict[str, Field] = {
    "aspect_ratio": _KEEP_RATIO,
    "resolution": Choice(("match_input_image", "0.5 MP", "1 MP", "2 MP", "4 MP")),
    "width": Whole(256, 2048),
    "height": Whole(256, 2048),
    "input_images": Links(8),
    "safety_tolerance": Whole(1, 5),
    "seed": _SEED,
    "output_format": _FORMAT,
    "output_quality": _QUALITY,
}
_KLEIN: dict[str, Field] = {
    "aspect_ratio": _KEEP_RATIO,
    "images": Links(5),
    "output_megapixels": Choice(("0.25", "0.5", "1", "2", "4")),
    "go_fast": Flag(),
    "disable_safety_checker": Flag(),
    "seed": _SEED,
    "output_format": _FORMAT,
    "output_quality": _QUALITY,
}
_KONTEXT: dict[str, Field] = {
    "aspect_ratio": Choice(("match_input_image", "2:1", "1:2", *_RATIOS)),
    "input_image": Link(),
    "prompt_upsampling": Flag(),
    "safety_tolerance": Whole(0, 6),
    "seed": _SEED,
    "output_format": _TWO_FORMATS,
}
_SEEDREAM: dict[str, Field] = {
    "aspect_ratio": _KEEP_RATIO,
    "size": Choice(("1K", "2K", "4K", "custom")),
    "width": Whole(1024, 4096),
    "height": Whole(1024, 4096),
    "image_input": Links(14),
    "max_images": Whole(1, 15),
    "sequential_image_generation": Choice(("disabled", "auto")),
    "enhance_prompt": Flag(),
}
_IMAGEN: dict[str, Field] = {
    "aspect_ratio": _GOOGLE_RATIO,
    "image_size": Choice(("1K", "2K")),
    "safety_filter_level": _SAFETY,
    "output_format": _TWO_FORMATS,
}
_BANANA: dict[str, Field] = {
    "aspect_ratio": _KEEP_RATIO,
    "image_input": Links(14),
    "output_format": _TWO_FORMATS,
}
_BANANA_PRO: dict[str, Field] = {
    **_BANANA,
    "resolution": Choice(("1K", "2K", "4K")),
    "safety_filter_level": _SAFETY,
}
_GPT_IMAGE: dict[str, Field] = {
    "aspect_ratio": Choice(("1:1", "3:2", "2:3")),
    "input_images": Links(16),
    "input_fidelity": Choice(("low", "high")),
    "number_of_images": Whole(1, 10),
    "quality": Choice(("low", "medium", "high", "auto")),
    "background": Choice(("auto", "transparent", "opaque")),
    "output_compression": Whole(0, 100),
    "output_format": Choice(("png", "jpeg", "webp")),
    "moderation": Choice(("auto", "low")),
    "user_id": Text(),
}
_QWEN_2: dict[str, Field] = {
    "image": Link(),
    "negative_prompt": Text(),
    "seed": _SEED,
    "output_format": _FORMAT,
    "enable_prompt_expansion": Flag(),
}
_Z_IMAGE: dict[str, Field] = {
    "width": Whole(64, 2048),
    "height": Whole(64, 2048),
    "num_inference_steps": Whole(1, 50),
    "guidance_scale": Number(0, 20),
    "go_fast": Flag(),
    "seed": _SEED,
    "output_format": _FORMAT,
    "output_quality": _QUALITY,
}
_SEEDANCE: dict[str, Field] = {
    "resolution": Choice(("480p", "720p", "1080p")),
    "camera_fixed": Flag(),
    "fps": Choice((24,)),
    "image": Link(),
    "last_frame_image": Link(),
}
_SPEAKS: dict[str, Field] = {"generate_audio": Flag()}
_HD = Choice(("720p", "1080p"))
_HD_DEFAULTS: dict[str, object] = {"duration": 5, "resolution": "720p", "generate_audio": False}

PICTURES: tuple[ModelSpec, ...] = (
    _picture(
        "black-forest-labs/flux-1.1-pro-ultra",
        60_000,
        {
            "image_prompt": Link(),
            "image_prompt_strength": Number(0, 1),
            "raw": Flag(),
            "safety_tolerance": Whole(1, 6),
            "seed": _SEED,
            "output_format": _TWO_FORMATS,
        },
        dict(_JPG),
    ),
    _picture("black-forest-labs/flux-2-pro", 30_000, _FLUX_2, {"output_format": "webp"}, 15_000),
    _picture("black-forest-labs/flux-2-max", 70_000, _FLUX_2, {"output_format": "webp"}, 30_000),
    _picture(
        "black-forest-labs/flux-2-flex",
        50_000,
        {**_FLUX_2, "guidance": Number(1.5, 10), "steps": Whole(1, 50), "prompt_upsampling": Flag()},
        {"output_format": "webp"},
        50_000,
    ),
    _picture("black-forest-labs/flux-2-klein-4b", 14_000, _KLEIN, dict(_JPG)),
    _picture("black-forest-labs/flux-2-klein-9b", 15_000, _KLEIN, dict(_JPG)),
    _picture("black-forest-labs/flux-kontext-pro", 40_000, _KONTEXT),
    _picture("black-forest-labs/flux-kontext-max", 80_000, _KONTEXT),
    _picture("bytedance/seedream-4", 30_000, _SEEDREAM, dict(_JPG)),
    _picture("bytedance/seedream-4.5", 40_000, _SEEDREAM, dict(_JPG)),
    _picture("bytedance/seedream-5-lite", 35_000, {**_SEEDREAM, "output_format": _JPEG_FORMATS}),
    _picture("google/imagen-4", 40_000, _IMAGEN, dict(_JPG)),
    _picture("google/imagen-4-fast", 20_000, _IMAGEN, dict(_JPG)),
    _picture("google/imagen-4-ultra", 60_000, _IMAGEN, dict(_JPG)),
    _picture("google/nano-banana", 39_000, _BANANA, dict(_JPG)),
    _picture("google/nano-banana-2", 67_000, _BANANA_PRO, dict(_JPG)),
    _picture("google/nano-banana-pro", 150_000, _BANANA_PRO, dict(_JPG)),
    _picture("openai/gpt-image-1-mini", 15_000, _GPT_IMAGE, {"output_format": "webp"}, 2_000),
    _picture("openai/gpt-image-1.5", 50_000, _GPT_IMAGE, {"output_format": "webp"}, 4_000),
    _picture("openai/gpt-image-2", 60_000, _GPT_IMAGE, {"output_format": "webp"}, 5_000),
    _picture("qwen/qwen-image-2", 35_000, _QWEN_2),
    _picture("qwen/qwen-image-2-pro", 75_000, _QWEN_2),
    _picture(
        "prunaai/z-image-turbo", 10_000, _Z_IMAGE, {"width": 1024, "height": 1024, "output_format": "jpg"}
    ),
    _picture(
        "prunaai/wan-2.2-image",
        20_000,
        {
            "megapixels": Choice((1, 2)),
            "juiced": Flag(),
            "seed": _SEED,
            "output_format": _FORMAT,
            "output_quality": _QUALITY,
        },
        dict(_JPG),
    ),
    _picture(
        "wan-video/wan-2.6-t2i",
        30_000,
        {
            "negative_prompt": Text(),
            "seed": _SEED,
            "output_format": _FORMAT,
            "enable_prompt_expansion": Flag(),
        },
    ),
    _picture(
        "ideogram-ai/ideogram-v3-turbo",
        30_000,
        {
            "resolution": Text(),
            "magic_prompt_option": Choice(("Auto", "On", "Off")),
            "style_type": Choice(("None", "Auto", "General", "Realistic", "Design")),
            "style_reference_images": Links(3),
            "image": Link(),
            "mask": Link(),
            "seed": _SEED,
        },
    ),
    _picture(
        "runwayml/gen4-image",
        80_000,
        {
            "aspect_ratio": Choice(("16:9", "9:16", "4:3", "3:4", "1:1", "21:9")),
            "resolution": Choice(("720p", "1080p")),
            "reference_images": Links(3),
            "reference_tags": Links(3),
            "seed": _SEED,
        },
        {"aspect_ratio": "16:9"},
    ),
)

FILMS: tuple[ModelSpec, ...] = (
    _film(
        "google/veo-3.1-lite",
        Price(
            "second",
            50_000,
            by_resolution={"720p": 50_000, "1080p": 80_000},
            silent_by_resolution={"720p": 30_000, "1080p": 50_000},
        ),
        Choice((4, 6, 8)),
        {
            "aspect_ratio": Choice(("16:9", "9:16")),
            "resolution": _HD,
            "image": Link(),
            "negative_prompt": Text(),
            **_SPEAKS,
        },
        {"duration": 8, "resolution": "720p", "generate_audio": True},
    ),
    _film(
        "bytedance/seedance-1-pro-fast",
        _graded(15_000, 25_000, 60_000),
        Whole(2, 12),
        {name: field for name, field in _SEEDANCE.items() if name != "last_frame_image"},
        {"duration": 5, "resolution": "1080p"},
    ),
    _film(
        "bytedance/seedance-1.5-pro",
        Price("second", 52_000, silent_micros=26_000),
        Whole(2, 12),
        {name: field for name, field in (_SEEDANCE | _SPEAKS).items() if name != "resolution"},
        {"duration": 5, "resolution": "720p", "generate_audio": False},
    ),
    _film(
        "bytedance/seedance-2.0",
        _graded(140_000, 310_000, 700_000),
        Whole(4, 15),
        {**_SEEDANCE, **_SPEAKS, "reference_images": Links(9)},
        dict(_HD_DEFAULTS),
    ),
    _film(
        "bytedance/seedance-2.0-fast",
        _graded(110_000, 242_000, 242_000),
        Whole(4, 15),
        {**_SEEDANCE, **_SPEAKS, "resolution": Choice(("480p", "720p")), "reference_images": Links(9)},
        dict(_HD_DEFAULTS),
    ),
    _film(
        "black-forest-labs/flux-3-video",
        _graded(170_000, 170_000, 290_000),
        Whole(5, 20),
        {"resolution": _HD, "image": Link(), "last_frame_image": Link(), **_SPEAKS},
        dict(_HD_DEFAULTS),
    ),
    _film(
        "runwayml/gen-4.5",
        Price("second", 120_000),
        Choice((5, 10)),
        {"aspect_ratio": Choice(("16:9", "9:16", "4:3", "3:4", "1:1", "21:9")), "image": Link()},
        {"duration": 5},
    ),
    _film(
        "wan-video/wan-2.7-t2v",
        _graded(100_000, 100_000, 150_000),
        Whole(2, 15),
        {
            "resolution": _HD,
            "negative_prompt": Text(),
            "enable_prompt_expansion": Flag(),
            "audio": Link(),
        },
        dict(_HD_DEFAULTS),
    ),
    _film(
        "wan-video/wan-3.0",
        _graded(50_000, 100_000, 200_000),
        Whole(2, 15),
        {
            "resolution": Choice(("480p", "720p", "1080p")),
            "image": Link(),
            "last_image": Link(),
            "enable_prompt_expansion": Flag(),
            **_SPEAKS,
        },
        dict(_HD_DEFAULTS),
    ),
)
