"""More pictures that Replicate hosts: those of BFL, ByteDance, Google, OpenAI, Alibaba and others."""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Links, Number, Text, Texts, Whole
from .kinds import ModelSpec, Price, Source

_PROMPT = Text(required=True)
_SEED = Whole(-1, 2**32 - 1)
_SEED_31 = Whole(-1, 2**31 - 1)
_QUALITY = Whole(0, 100)
_FORMAT = Choice(("webp", "jpg", "png"))
_TWO_FORMATS = Choice(("jpg", "png"))
_JPEG_FORMATS = Choice(("png", "jpeg"))
_MATCH = "match_input_image"
_RATIOS = ("1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21")
_RATIO = Choice(_RATIOS)
_BASIC_RATIOS = ("1:1", "4:3", "3:4", "16:9", "9:16", "3:2", "2:3")
_SAFETY = Choice(("block_low_and_above", "block_medium_and_above", "block_only_high"))
_DEFAULTS = {"aspect_ratio": "1:1", "num_outputs": 1, "output_format": "png", "output_quality": 80}
_JPG = _DEFAULTS | {"output_format": "jpg"}
_WEBP = _DEFAULTS | {"output_format": "webp"}


def _picture(
    name: str,
    micros: int,
    fields: dict[str, Field],
    defaults: dict[str, object] | None = None,
    *,
    listed: bool = False,
    file_micros: int = 0,
    source: Source = "schema",
) -> ModelSpec:
    """Return a model; its pictures come as a list if `listed`, else one comes as one URL."""
    return ModelSpec(
        "replicate",
        name,
        "image",
        {"prompt": _PROMPT, **fields},
        Price("image", micros, file_micros=file_micros, file_fields="input_images"),
        _DEFAULTS | (defaults or {}),
        single_output=not listed,
        source=source,
    )


_FLUX_2: dict[str, Field] = {
    "aspect_ratio": Choice(
        (_MATCH, "custom", "1:1", "16:9", "3:2", "2:3", "4:5", "5:4", "9:16", "3:4", "4:3")
    ),
    "resolution": Choice((_MATCH, "0.5 MP", "1 MP", "2 MP", "4 MP")),
    "width": Whole(256, 2048),
    "height": Whole(256, 2048),
    "input_images": Links(8),
    "safety_tolerance": Whole(1, 5),
    "seed": _SEED,
    "output_format": _FORMAT,
    "output_quality": _QUALITY,
}
_KLEIN: dict[str, Field] = {
    "aspect_ratio": Choice((_MATCH, *_RATIOS)),
    "images": Links(5),
    "output_megapixels": Choice(("0.25", "0.5", "1", "2", "4")),
    "go_fast": Flag(),
    "disable_safety_checker": Flag(),
    "seed": _SEED,
    "output_format": _FORMAT,
    "output_quality": _QUALITY,
}
_KONTEXT: dict[str, Field] = {
    "aspect_ratio": Choice((_MATCH, "2:1", "1:2", *_RATIOS)),
    "input_image": Link(),
    "prompt_upsampling": Flag(),
    "safety_tolerance": Whole(0, 6),
    "seed": _SEED,
    "output_format": _TWO_FORMATS,
}
_SEEDREAM: dict[str, Field] = {
    "aspect_ratio": Choice((_MATCH, *_BASIC_RATIOS, "21:9")),
    "image_input": Links(14),
    "max_images": Whole(1, 15),
    "sequential_image_generation": Choice(("disabled", "auto")),
}
_CUSTOM_SIDES: dict[str, Field] = {"width": Whole(1024, 4096), "height": Whole(1024, 4096)}
_IMAGEN: dict[str, Field] = {
    "aspect_ratio": Choice(("1:1", "9:16", "16:9", "3:4", "4:3")),
    "safety_filter_level": _SAFETY,
    "output_format": _TWO_FORMATS,
}
_SIZED_IMAGEN: dict[str, Field] = {**_IMAGEN, "image_size": Choice(("1K", "2K"))}
_BANANA_RATIOS = (*_BASIC_RATIOS, "4:5", "5:4", "21:9")
_BANANA: dict[str, Field] = {
    "aspect_ratio": Choice((_MATCH, *_BANANA_RATIOS)),
    "image_input": Links(14),
    "output_format": _TWO_FORMATS,
}
_BANANA_SIZE = Choice(("1K", "2K", "4K"))
_GPT_SIZES = (
    *("1024x1024", "1536x1024", "1024x1536", "1536x1152", "1152x1536"),
    *("2048x2048", "2048x1152", "1152x2048", "3840x2160", "2160x3840"),
)
_GPT_IMAGE_2: dict[str, Field] = {
    "aspect_ratio": Choice((*_BASIC_RATIOS, "auto", *_GPT_SIZES)),
    "input_images": Links(16),
    "number_of_images": Whole(1, 10),
    "quality": Choice(("low", "medium", "high", "auto")),
    "background": Choice(("auto", "transparent", "opaque")),
    "output_compression": Whole(0, 100),
    "output_format": Choice(("png", "jpeg", "webp")),
    "moderation": Choice(("auto", "low")),
    "user_id": Text(),
    "openai_api_key": Text(),
}
_GPT_IMAGE: dict[str, Field] = {
    **_GPT_IMAGE_2,
    "aspect_ratio": Choice(("1:1", "3:2", "2:3")),
    "input_fidelity": Choice(("low", "high")),
}
_QWEN_2: dict[str, Field] = {
    "aspect_ratio": Choice((*_BASIC_RATIOS, "2:1", "1:2")),
    "image": Link(),
    "match_input_image": Flag(),
    "negative_prompt": Text(),
    "seed": _SEED_31,
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

PICTURES: tuple[ModelSpec, ...] = (
    _picture(
        "black-forest-labs/flux-1.1-pro-ultra",
        60_000,
        {
            "aspect_ratio": _RATIO,
            "image_prompt": Link(),
            "image_prompt_strength": Number(0, 1),
            "raw": Flag(),
            "safety_tolerance": Whole(1, 6),
            "seed": _SEED,
            "output_format": _TWO_FORMATS,
        },
        dict(_JPG),
    ),
    _picture(
        "black-forest-labs/flux-2-pro",
        30_000,
        {
            **_FLUX_2,
            "resolution": Choice(("0.5 MP", "1 MP", "2 MP", "4 MP")),
            "prompt_upsampling": Flag(),
        },
        dict(_WEBP),
        file_micros=15_000,
    ),
    _picture("black-forest-labs/flux-2-max", 70_000, _FLUX_2, dict(_WEBP), file_micros=30_000),
    _picture(
        "black-forest-labs/flux-2-flex",
        50_000,
        {
            **_FLUX_2,
            "input_images": Links(10),
            "guidance": Number(1.5, 10),
            "steps": Whole(1, 50),
            "prompt_upsampling": Flag(),
        },
        dict(_WEBP),
        file_micros=50_000,
    ),
    _picture("black-forest-labs/flux-2-klein-4b", 14_000, _KLEIN, dict(_JPG), listed=True),
    _picture("black-forest-labs/flux-2-klein-9b", 15_000, _KLEIN, dict(_JPG), listed=True),
    _picture("black-forest-labs/flux-kontext-pro", 40_000, _KONTEXT),
    _picture("black-forest-labs/flux-kontext-max", 80_000, _KONTEXT),
    _picture(
        "bytedance/seedream-4",
        30_000,
        {
            **_SEEDREAM,
            **_CUSTOM_SIDES,
            "image_input": Links(10),
            "size": Choice(("1K", "2K", "4K", "custom")),
            "enhance_prompt": Flag(),
        },
        dict(_JPG),
        listed=True,
    ),
    _picture(
        "bytedance/seedream-4.5",
        40_000,
        {
            **_SEEDREAM,
            **_CUSTOM_SIDES,
            "aspect_ratio": Choice((_MATCH, *_BASIC_RATIOS, "4:5", "5:4", "21:9", "9:21")),
            "size": Choice(("2K", "4K", "custom")),
            "disable_safety_checker": Flag(),
        },
        dict(_JPG),
        listed=True,
    ),
    _picture(
        "bytedance/seedream-5-lite",
        35_000,
        {
            **_SEEDREAM,
            "size": Choice(("2K", "3K")),
            "output_format": _JPEG_FORMATS,
            "return_byteplus_urls": Flag(),
        },
        listed=True,
    ),
    _picture("google/imagen-4", 40_000, _SIZED_IMAGEN, dict(_JPG)),
    _picture("google/imagen-4-fast", 20_000, _IMAGEN, dict(_JPG)),
    _picture("google/imagen-4-ultra", 60_000, _SIZED_IMAGEN, dict(_JPG)),
    _picture("google/nano-banana", 39_000, _BANANA, dict(_JPG)),
    _picture(
        "google/nano-banana-2",
        67_000,
        {
            **_BANANA,
            "aspect_ratio": Choice((_MATCH, *_BANANA_RATIOS, "1:4", "4:1", "1:8", "8:1")),
            "resolution": _BANANA_SIZE,
            "google_search": Flag(),
            "image_search": Flag(),
        },
        dict(_JPG),
    ),
    _picture(
        "google/nano-banana-pro",
        150_000,
        {
            **_BANANA,
            "resolution": _BANANA_SIZE,
            "safety_filter_level": _SAFETY,
            "allow_fallback_model": Flag(),
        },
        dict(_JPG),
    ),
    # The one model here that asks for a key of its maker; the others use Replicate's own without one.
    _picture(
        "openai/gpt-image-1-mini",
        15_000,
        {**_GPT_IMAGE, "openai_api_key": Text(required=True)},
        dict(_WEBP),
        listed=True,
        file_micros=2_000,
    ),
    _picture("openai/gpt-image-1.5", 50_000, _GPT_IMAGE, dict(_WEBP), listed=True, file_micros=4_000),
    _picture("openai/gpt-image-2", 60_000, _GPT_IMAGE_2, dict(_WEBP), listed=True, file_micros=5_000),
    _picture("qwen/qwen-image-2", 35_000, _QWEN_2),
    _picture("qwen/qwen-image-2-pro", 75_000, _QWEN_2),
    _picture(
        "prunaai/z-image-turbo", 10_000, _Z_IMAGE, {"width": 1024, "height": 1024, "output_format": "jpg"}
    ),
    _picture(
        "prunaai/wan-2.2-image",
        20_000,
        {
            "aspect_ratio": Choice(("1:1", "16:9", "9:16", "4:3", "3:4", "21:9")),
            "megapixels": Choice((1, 2)),
            "juiced": Flag(),
            "seed": _SEED,
            "output_format": _FORMAT,
            "output_quality": _QUALITY,
        },
        dict(_JPG),
        source="seen",
    ),
    # Not in any list of Replicate's models that was read: neither the name nor the fields have a witness.
    _picture(
        "wan-video/wan-2.6-t2i",
        30_000,
        {
            "aspect_ratio": _RATIO,
            "negative_prompt": Text(),
            "seed": _SEED,
            "output_format": _FORMAT,
            "enable_prompt_expansion": Flag(),
        },
        source="assumed",
    ),
    _picture(
        "ideogram-ai/ideogram-v3-turbo",
        30_000,
        {
            "aspect_ratio": Choice(
                (*_BASIC_RATIOS, "1:3", "3:1", "1:2", "2:1", "10:16", "16:10", "4:5", "5:4")
            ),
            # Some seventy sizes and sixty styles, which nobody asks for here.
            "resolution": Text(),
            "style_preset": Text(),
            "magic_prompt_option": Choice(("Auto", "On", "Off")),
            "style_type": Choice(("None", "Auto", "General", "Realistic", "Design")),
            "style_reference_images": Links(3),
            "image": Link(),
            "mask": Link(),
            "seed": _SEED_31,
        },
    ),
    _picture(
        "runwayml/gen4-image",
        80_000,
        {
            "aspect_ratio": Choice(("16:9", "9:16", "4:3", "3:4", "1:1", "21:9")),
            "resolution": Choice(("720p", "1080p")),
            "reference_images": Links(3),
            "reference_tags": Texts(3),
            "seed": _SEED,
        },
        {"aspect_ratio": "16:9"},
        source="seen",
    ),
)
