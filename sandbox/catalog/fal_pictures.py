"""Fal's models of pictures, as the types of its SDK have them; see `fal_words` for what those do not say."""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Number, Size, Text, Whole
from ..shapes import ListOf, Record
from .fal_words import (
    ALONE,
    CHECKED,
    COUNT,
    FIRST,
    FORMATS,
    NAMED_SIZES,
    SAFETY,
    SEED,
    SEEDED,
    SHORT_SEED,
    SIZE,
    SPEED,
    SYNC,
    TOLD,
    TWO_FORMATS,
    files,
    picture,
)
from .kinds import ModelSpec, Price

_MEGAPIXEL = 1024 * 1024
_SIZE_OR_AUTO = Size((*NAMED_SIZES, "auto"), 64, 2048)
_LORA = Record({"path": Text(required=True), "scale": Number(0, 4), "force": Flag()})
_RATIOS = ("21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16")
_WIDEST = ("4:1", "1:4", "8:1", "1:8")

_FLUX_1: dict[str, Field] = {
    **SYNC,
    **CHECKED,
    "image_size": SIZE,
    "num_images": COUNT,
    "seed": SEED,
    "output_format": TWO_FORMATS,
    "guidance_scale": Number(1, 20),
    "acceleration": SPEED,
}
_FLUX_11: dict[str, Field] = {
    **SYNC,
    "image_size": SIZE,
    "num_images": COUNT,
    "seed": SEED,
    "output_format": TWO_FORMATS,
    "safety_tolerance": SAFETY,
    "enhance_prompt": Flag(),
}
_FLUX_2: dict[str, Field] = {
    **SYNC,
    **CHECKED,
    "image_size": SIZE,
    "seed": SEED,
    "output_format": TWO_FORMATS,
    "safety_tolerance": Choice(("1", "2", "3", "4", "5")),
}
_FLUX_2_EDIT: dict[str, Field] = {**_FLUX_2, **files(9), "image_size": _SIZE_OR_AUTO}
_STEERED: dict[str, Field] = {"guidance_scale": Number(1.5, 10), "num_inference_steps": Whole(2, 50)}
_KONTEXT: dict[str, Field] = {
    **SYNC,
    "aspect_ratio": Choice(("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")),
    "num_images": COUNT,
    "seed": SEED,
    "guidance_scale": Number(1, 20),
    "output_format": TWO_FORMATS,
    "safety_tolerance": SAFETY,
    "enhance_prompt": Flag(),
}
_SEEDREAM: dict[str, Field] = {**SYNC, **CHECKED, "num_images": Whole(1, 6), "max_images": Whole(1, 6)}
_SEEDREAM_4_SIZES = (*NAMED_SIZES, "auto", "auto_2K", "auto_4K")
_SEEDREAM_4: dict[str, Field] = {
    **_SEEDREAM,
    "image_size": Size(_SEEDREAM_4_SIZES, 64, 16_384, least_pixels=960 * 960, most_pixels=4096 * 4096),
    "seed": SEED,
    "enhance_prompt_mode": Choice(("standard", "fast")),
}
_SCALED: dict[str, Field] = {"image_size": Size(_SEEDREAM_4_SIZES, 64, 16_384)}
"""An edit's size is scaled where it is too small."""

_SEEDREAM_45: dict[str, Field] = {
    **_SEEDREAM,
    "image_size": Size(
        (*NAMED_SIZES, "auto_2K", "auto_4K"), 64, 16_384, least_pixels=2560 * 1440, most_pixels=4096 * 4096
    ),
    "seed": SEED,
}
# Sizes that are too small or too large are scaled, not refused.
_SEEDREAM_5: dict[str, Field] = {
    **_SEEDREAM,
    "image_size": Size((*NAMED_SIZES, "auto_2K", "auto_3K"), 64, 16_384),
}
_GOOGLE: dict[str, Field] = {
    **SYNC,
    "num_images": COUNT,
    "seed": SEED,
    "output_format": FORMATS,
    "safety_tolerance": SAFETY,
}
_IMAGEN: dict[str, Field] = {**_GOOGLE, "aspect_ratio": Choice(("1:1", "16:9", "9:16", "4:3", "3:4"))}
_IMAGEN_2K: dict[str, Field] = {**_IMAGEN, "resolution": Choice(("1K", "2K"))}
_RATIO_OR_AUTO = Choice(("auto", *_RATIOS))
_BANANA: dict[str, Field] = {**_GOOGLE, "limit_generations": Flag()}
_BANANA_2: dict[str, Field] = {
    **_BANANA,
    "aspect_ratio": Choice(("auto", *_RATIOS, *_WIDEST)),
    "resolution": Choice(("0.5K", "1K", "2K", "4K")),
    "enable_web_search": Flag(),
    "thinking_level": Choice(("minimal", "high")),
}
_BANANA_PRO: dict[str, Field] = {
    **_BANANA,
    "aspect_ratio": _RATIO_OR_AUTO,
    "resolution": Choice(("1K", "2K", "4K")),
    "enable_web_search": Flag(),
}
_GPT_SIZES = ("1024x1024", "1536x1024", "1024x1536")
_GPT_IMAGE: dict[str, Field] = {
    **SYNC,
    "image_size": Choice(_GPT_SIZES),
    "num_images": COUNT,
    "quality": Choice(("low", "medium", "high")),
    "background": Choice(("auto", "transparent", "opaque")),
    "output_format": FORMATS,
}
_GPT_IMAGE_EDIT: dict[str, Field] = {
    **_GPT_IMAGE,
    **files(16),
    "image_size": Choice(("auto", *_GPT_SIZES)),
    "input_fidelity": Choice(("low", "high")),
    "mask_image_url": Link(),
}
_QWEN_2: dict[str, Field] = {
    **SYNC,
    **CHECKED,
    "image_size": Size(NAMED_SIZES, 64, 8_192, least_pixels=512 * 512, most_pixels=2048 * 2048),
    "num_images": COUNT,
    "seed": SHORT_SEED,
    "output_format": FORMATS,
    "negative_prompt": Text(most=500),
    "enable_prompt_expansion": Flag(),
}
_QWEN_2_EDIT: dict[str, Field] = {**_QWEN_2, **files(3), "prompt": Text(required=True, most=800)}
_Z_IMAGE: dict[str, Field] = {
    **SYNC,
    **CHECKED,
    "image_size": SIZE,
    "num_images": COUNT,
    "num_inference_steps": Whole(1, 8),
    "seed": SEED,
    "output_format": FORMATS,
    "acceleration": SPEED,
    "enable_prompt_expansion": Flag(),
}
_WAN_22: dict[str, Field] = {
    **CHECKED,
    "image_size": SIZE,
    "negative_prompt": Text(),
    "num_inference_steps": Whole(2, 40),
    "seed": SEED,
    "guidance_scale": Number(1, 10),
    "guidance_scale_2": Number(1, 10),
    "shift": Number(1, 10),
    "acceleration": Choice(("none", "regular")),
    "enable_prompt_expansion": Flag(),
    "enable_output_safety_checker": Flag(),
}
_WAN_26: dict[str, Field] = {
    **CHECKED,
    "prompt": Text(required=True, most=2_000),
    "image_size": SIZE,
    "image_url": Link(),
    "negative_prompt": Text(most=500),
    "max_images": Whole(1, 5),
    "seed": SHORT_SEED,
}


def _flux_2(name: str, first: int, more: int, extra: dict[str, Field] | None = None) -> tuple[ModelSpec, ...]:
    # The first megapixel has a price of its own; pictures given are counted as one more each.
    price = Price(
        "megapixel", first, more_micros=more, megapixel=_MEGAPIXEL, file_micros=more, file_fields="image_urls"
    )
    wanted = {"image_size": "landscape_4_3", "output_format": "jpeg"}
    return (
        picture(name, _FLUX_2 | (extra or {}), price, SEEDED, **wanted),
        picture(
            f"{name}/edit", _FLUX_2_EDIT | (extra or {}), price, SEEDED, **wanted | {"image_size": "auto"}
        ),
    )


def _seedream(
    version: str, micros: int, fields: dict[str, Field], edit: dict[str, Field], answers: tuple[str, ...]
) -> tuple[ModelSpec, ...]:
    # There is no format to choose; PNG is what the examples of Fal's pages show.
    home, price = f"fal-ai/bytedance/seedream/{version}", Price("image", micros)
    return (
        picture(f"{home}/text-to-image", fields, price, SEEDED, image_size="auto_2K"),
        picture(f"{home}/edit", fields | files(10) | edit, price, answers, image_size="auto_2K"),
    )


def _google(name: str, micros: int, fields: dict[str, Field], ratio: str = "1:1") -> ModelSpec:
    return picture(name, fields, Price("image", micros), TOLD, aspect_ratio=ratio)


def _bananas(name: str, micros: int, fields: dict[str, Field], ratio: str) -> tuple[ModelSpec, ...]:
    edit = {"aspect_ratio": _RATIO_OR_AUTO, **fields, **files(14)}
    return (
        _google(name, micros, {"aspect_ratio": Choice(_RATIOS), **fields}, ratio),
        _google(f"{name}/edit", micros, edit, "auto"),
    )


def gpt_images(name: str, micros: int, file_micros: int) -> tuple[ModelSpec, ...]:
    """Return a model of OpenAI's, with its path for edits."""
    price = Price("image", micros, file_micros=file_micros, file_fields="image_urls")
    return (
        picture(name, _GPT_IMAGE, price, ALONE, image_size="1024x1024"),
        picture(f"{name}/edit", _GPT_IMAGE_EDIT, price, ALONE, image_size="auto"),
    )


def _qwen_2(home: str, micros: int) -> tuple[ModelSpec, ...]:
    price = Price("image", micros)
    return (
        picture(f"{home}/text-to-image", _QWEN_2, price, SEEDED, image_size="square_hd"),
        picture(f"{home}/edit", _QWEN_2_EDIT, price, SEEDED, image_size="square_hd"),
    )


_FLUX_DEFAULTS = {"image_size": "landscape_4_3", "output_format": "jpeg"}

MODELS: tuple[ModelSpec, ...] = (
    picture(
        "fal-ai/flux/schnell",
        _FLUX_1 | {"num_inference_steps": Whole(1, 12)},
        Price("megapixel", 3_000),
        **_FLUX_DEFAULTS,
    ),
    picture(
        "fal-ai/flux/dev",
        _FLUX_1 | {"num_inference_steps": Whole(1, 50)},
        Price("megapixel", 25_000),
        **_FLUX_DEFAULTS,
    ),
    picture("fal-ai/flux-pro/v1.1", _FLUX_11, Price("megapixel", 40_000), **_FLUX_DEFAULTS),
    *_flux_2("fal-ai/flux-2-pro", 30_000, 15_000),
    *_flux_2("fal-ai/flux-2-max", 70_000, 30_000),
    *_flux_2("fal-ai/flux-2-flex", 50_000, 50_000, _STEERED),
    picture(
        "fal-ai/flux-pro/kontext/text-to-image",
        _KONTEXT,
        Price("image", 40_000),
        aspect_ratio="1:1",
        output_format="jpeg",
    ),
    picture("fal-ai/flux-pro/kontext", _KONTEXT | FIRST, Price("image", 40_000), output_format="jpeg"),
    *_seedream("v4", 30_000, _SEEDREAM_4, _SCALED, SEEDED),
    *_seedream("v4.5", 40_000, _SEEDREAM_45, {}, ALONE),
    *_seedream("v5/lite", 35_000, _SEEDREAM_5, {}, SEEDED),
    _google("fal-ai/imagen4/preview", 40_000, _IMAGEN_2K),
    _google("fal-ai/imagen4/preview/fast", 20_000, _IMAGEN),
    _google("fal-ai/imagen4/preview/ultra", 60_000, _IMAGEN_2K),
    *_bananas("fal-ai/nano-banana", 39_000, _BANANA, "1:1"),
    *_bananas("fal-ai/nano-banana-2", 67_000, _BANANA_2, "auto"),
    *_bananas("fal-ai/nano-banana-pro", 150_000, _BANANA_PRO, "1:1"),
    *gpt_images("fal-ai/gpt-image-1.5", 50_000, 4_000),
    picture(
        "fal-ai/qwen-image",
        {
            **_FLUX_1,
            "num_inference_steps": Whole(2, 250),
            "negative_prompt": Text(),
            "loras": ListOf(_LORA, 0, 3),
            "use_turbo": Flag(),
        },
        Price("megapixel", 20_000),
        image_size="landscape_4_3",
    ),
    *_qwen_2("fal-ai/qwen-image-2", 35_000),
    *_qwen_2("fal-ai/qwen-image-2/pro", 75_000),
    picture("fal-ai/z-image/turbo", _Z_IMAGE, Price("megapixel", 5_000), image_size="landscape_4_3"),
    # One picture a call. Its format is not said anywhere; JPEG is what its siblings make when nothing is said.
    picture(
        "fal-ai/wan/v2.2-a14b/text-to-image",
        _WAN_22,
        Price("image", 25_000),
        ("image", "seed"),
        image_size="square_hd",
        output_format="jpeg",
    ),
    picture("wan/v2.6/text-to-image", _WAN_26, Price("image", 30_000), SEEDED, image_size="square_hd"),
)
