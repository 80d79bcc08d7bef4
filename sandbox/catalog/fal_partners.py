"""More models that Fal hosts: those of BFL, ByteDance, Google, OpenAI, Alibaba and others."""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Links, Number, Size, Text, Whole
from .kinds import ModelSpec, Price

_PROMPT = Text(required=True)
_SEED = Whole(-1, 2**32 - 1)
_FORMAT = Choice(("jpeg", "png"))
_NAMED_SIZES = ("square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9")
_SIZE = Size((*_NAMED_SIZES, "auto"), 64, 2048)
_BIG_SIZE = Size((*_NAMED_SIZES, "auto", "auto_2K", "auto_4K"), 64, 4096)
_RATIOS = ("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")
_FILM_RATIO = Choice(("21:9", "16:9", "4:3", "1:1", "3:4", "9:16", "auto"))
_HD = Choice(("720p", "1080p"))
_COUNT = Whole(1, 4)
_SAFETY = Choice(("1", "2", "3", "4", "5", "6"))
_DEFAULTS = {"image_size": "square_hd", "num_images": 1, "output_format": "png"}


def _picture(
    name: str,
    micros: int,
    fields: dict[str, Field],
    edit: str = "",
    files: dict[str, Field] | None = None,
) -> tuple[ModelSpec, ...]:
    """Return a model of pictures and, where it has a path of its own, the one that takes files."""
    given: dict[str, Field] = {
        "prompt": _PROMPT,
        "seed": _SEED,
        "sync_mode": Flag(),
        "enable_safety_checker": Flag(),
        **fields,
    }
    price = Price("image", micros)
    plain = ModelSpec("fal", name, "image", given, price, _DEFAULTS)
    if not edit:
        return (plain,)
    taken = given | (files or {"image_urls": Links(14, required=True)})
    return (plain, ModelSpec("fal", edit, "image", taken, price, _DEFAULTS))


def _film(
    name: str,
    price: Price,
    fields: dict[str, Field],
    defaults: dict[str, object],
    path: str = "",
    files: dict[str, Field] | None = None,
) -> tuple[ModelSpec, ...]:
    """Return a model of films and, where it has a path of its own, the one that starts from a picture."""
    given: dict[str, Field] = {"prompt": _PROMPT, "aspect_ratio": _FILM_RATIO, "seed": _SEED, **fields}
    wanted = {"aspect_ratio": "16:9", "resolution": "720p", **defaults}
    plain = ModelSpec("fal", name, "video", given, price, wanted)
    if not path:
        return (plain,)
    return (plain, ModelSpec("fal", path, "video", given | (files or {}), price, wanted))


def _graded(low: int, middle: int, high: int) -> Price:
    return Price("second", middle, by_resolution={"480p": low, "720p": middle, "1080p": high})


def _seconds(least: int, most: int) -> Field:
    return Choice(tuple(str(number) for number in range(least, most + 1)))


_FLUX_2: dict[str, Field] = {"image_size": _SIZE, "output_format": _FORMAT, "safety_tolerance": _SAFETY}
_KONTEXT: dict[str, Field] = {
    "aspect_ratio": Choice(_RATIOS),
    "num_images": _COUNT,
    "guidance_scale": Number(1, 20),
    "output_format": _FORMAT,
    "safety_tolerance": _SAFETY,
    "enhance_prompt": Flag(),
}
_SEEDREAM: dict[str, Field] = {
    "image_size": _BIG_SIZE,
    "num_images": Whole(1, 6),
    "max_images": Whole(1, 6),
}
_GOOGLE: dict[str, Field] = {
    "aspect_ratio": Choice(("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9", "auto")),
    "num_images": _COUNT,
    "output_format": Choice(("jpeg", "png", "webp")),
}
_BANANA_2: dict[str, Field] = {
    **_GOOGLE,
    "resolution": Choice(("1K", "2K", "4K")),
    "enable_web_search": Flag(),
    "limit_generations": Flag(),
}
_GPT_IMAGE: dict[str, Field] = {
    "image_size": Choice(("auto", "1024x1024", "1536x1024", "1024x1536")),
    "num_images": _COUNT,
    "quality": Choice(("low", "medium", "high", "auto")),
    "background": Choice(("auto", "transparent", "opaque")),
    "output_format": Choice(("jpeg", "png", "webp")),
}
_WAN_PICTURE: dict[str, Field] = {"image_size": _SIZE, "negative_prompt": Text()}
_QWEN_2: dict[str, Field] = {
    "image_size": _SIZE,
    "num_images": _COUNT,
    "output_format": Choice(("jpeg", "png", "webp")),
    "negative_prompt": Text(most=500),
    "enable_prompt_expansion": Flag(),
}
_VEO: dict[str, Field] = {
    "aspect_ratio": Choice(("16:9", "9:16", "auto")),
    "duration": Choice(("4s", "6s", "8s")),
    "resolution": _HD,
    "generate_audio": Flag(),
    "negative_prompt": Text(),
    "auto_fix": Flag(),
}
_VEO_DEFAULTS: dict[str, object] = {"duration": "8s", "generate_audio": True}
_SEEDANCE: dict[str, Field] = {
    "resolution": Choice(("480p", "720p", "1080p")),
    "duration": _seconds(2, 12),
    "camera_fixed": Flag(),
    "enable_safety_checker": Flag(),
}
_SEEDANCE_15: dict[str, Field] = {**_SEEDANCE, "duration": _seconds(4, 12), "generate_audio": Flag()}
_SEEDANCE_2: dict[str, Field] = {
    "resolution": Choice(("480p", "720p", "1080p")),
    "duration": Choice(("auto", *(str(number) for number in range(4, 16)))),
    "generate_audio": Flag(),
}
_SEEDANCE_2_FAST: dict[str, Field] = {**_SEEDANCE_2, "resolution": Choice(("480p", "720p"))}
_WAN_27: dict[str, Field] = {
    "resolution": _HD,
    "duration": Whole(2, 15),
    "negative_prompt": Text(most=500),
    "enable_prompt_expansion": Flag(),
    "enable_safety_checker": Flag(),
    "audio_url": Link(),
}
_WAN_30: dict[str, Field] = {
    "resolution": Choice(("480p", "720p", "1080p")),
    "duration": Whole(2, 30),
    "generate_audio": Flag(),
    "enable_prompt_expansion": Flag(),
    "enable_safety_checker": Flag(),
}
_FIRST: dict[str, Field] = {"image_url": Link(required=True)}
_BOTH: dict[str, Field] = {**_FIRST, "end_image_url": Link()}

PICTURES: tuple[ModelSpec, ...] = (
    *_picture("fal-ai/flux-2-pro", 30_000, _FLUX_2, "fal-ai/flux-2-pro/edit"),
    *_picture("fal-ai/flux-2-max", 70_000, _FLUX_2, "fal-ai/flux-2-max/edit"),
    *_picture(
        "fal-ai/flux-2-flex",
        50_000,
        {
            **_FLUX_2,
            "guidance_scale": Number(1.5, 10),
            "num_inference_steps": Whole(2, 50),
            "enable_prompt_expansion": Flag(),
        },
        "fal-ai/flux-2-flex/edit",
    ),
    *_picture(
        "fal-ai/flux-pro/kontext/text-to-image",
        40_000,
        _KONTEXT,
        "fal-ai/flux-pro/kontext",
        {"image_url": Link(required=True)},
    ),
    *_picture(
        "fal-ai/bytedance/seedream/v4/text-to-image",
        30_000,
        {**_SEEDREAM, "enhance_prompt_mode": Choice(("standard", "fast"))},
        "fal-ai/bytedance/seedream/v4/edit",
    ),
    *_picture(
        "fal-ai/bytedance/seedream/v4.5/text-to-image",
        40_000,
        _SEEDREAM,
        "fal-ai/bytedance/seedream/v4.5/edit",
    ),
    *_picture(
        "fal-ai/bytedance/seedream/v5/lite/text-to-image",
        35_000,
        _SEEDREAM,
        "fal-ai/bytedance/seedream/v5/lite/edit",
    ),
    *_picture("fal-ai/imagen4/preview", 40_000, _GOOGLE | {"resolution": Choice(("1K", "2K"))}),
    *_picture("fal-ai/imagen4/preview/fast", 20_000, _GOOGLE),
    *_picture("fal-ai/imagen4/preview/ultra", 60_000, _GOOGLE | {"resolution": Choice(("1K", "2K"))}),
    *_picture("fal-ai/nano-banana", 39_000, _GOOGLE, "fal-ai/nano-banana/edit"),
    *_picture("fal-ai/nano-banana-2", 67_000, _BANANA_2, "fal-ai/nano-banana-2/edit"),
    *_picture("fal-ai/nano-banana-pro", 150_000, _BANANA_2, "fal-ai/nano-banana-pro/edit"),
    *_picture("fal-ai/gpt-image-1.5", 50_000, _GPT_IMAGE, "fal-ai/gpt-image-1.5/edit"),
    *_picture("fal-ai/gpt-image-2", 60_000, _GPT_IMAGE, "fal-ai/gpt-image-2/edit"),
    *_picture("fal-ai/qwen-image-2/text-to-image", 35_000, _QWEN_2, "fal-ai/qwen-image-2/edit"),
    *_picture("fal-ai/qwen-image-2-pro/text-to-image", 75_000, _QWEN_2, "fal-ai/qwen-image-2-pro/edit"),
    *_picture(
        "fal-ai/z-image/turbo",
        5_000,
        {
            "image_size": _SIZE,
            "num_images": _COUNT,
            "num_inference_steps": Whole(1, 8),
            "output_format": Choice(("jpeg", "png", "webp")),
            "acceleration": Choice(("none", "regular", "high")),
            "enable_prompt_expansion": Flag(),
        },
    ),
    *_picture(
        "fal-ai/wan/v2.2-a14b/text-to-image",
        25_000,
        {
            **_WAN_PICTURE,
            "image_format": _FORMAT,
            "num_inference_steps": Whole(2, 40),
            "guidance_scale": Number(1, 10),
            "enable_prompt_expansion": Flag(),
        },
    ),
    *_picture("wan/v2.6/text-to-image", 30_000, {**_WAN_PICTURE, "max_images": Whole(1, 5)}),
)

FILMS: tuple[ModelSpec, ...] = (
    *_film(
        "fal-ai/veo3.1/lite",
        Price("second", 50_000, silent_micros=30_000),
        _VEO,
        _VEO_DEFAULTS,
        "fal-ai/veo3.1/lite/image-to-video",
        _FIRST,
    ),
    ModelSpec(
        "fal",
        "fal-ai/veo3.1/image-to-video",
        "video",
        {"prompt": _PROMPT, "seed": _SEED, **_VEO, **_FIRST},
        Price("second", 400_000, silent_micros=200_000),
        {"aspect_ratio": "16:9", "resolution": "720p", **_VEO_DEFAULTS},
    ),
    *_film(
        "fal-ai/bytedance/seedance/v1/pro/fast/text-to-video",
        _graded(15_000, 25_000, 60_000),
        _SEEDANCE,
        {"duration": "5", "resolution": "1080p"},
        "fal-ai/bytedance/seedance/v1/pro/fast/image-to-video",
        _FIRST,
    ),
    *_film(
        "fal-ai/bytedance/seedance/v1.5/pro/text-to-video",
        _graded(26_000, 52_000, 120_000),
        _SEEDANCE_15,
        {"duration": "5", "generate_audio": True},
        "fal-ai/bytedance/seedance/v1.5/pro/image-to-video",
        _BOTH,
    ),
    *_film(
        "bytedance/seedance-2.0/text-to-video",
        _graded(140_000, 310_000, 700_000),
        _SEEDANCE_2,
        {"duration": "5", "generate_audio": True},
        "bytedance/seedance-2.0/image-to-video",
        _BOTH,
    ),
    *_film(
        "bytedance/seedance-2.0/fast/text-to-video",
        _graded(110_000, 242_000, 242_000),
        _SEEDANCE_2_FAST,
        {"duration": "5", "generate_audio": True},
        "bytedance/seedance-2.0/fast/image-to-video",
        _BOTH,
    ),
    *_film("fal-ai/wan/v2.7/text-to-video", _graded(100_000, 100_000, 150_000), _WAN_27, {"duration": 5}),
    *_film(
        "fal-ai/wan/v3.0/text-to-video",
        _graded(50_000, 100_000, 200_000),
        _WAN_30,
        {"duration": 5, "generate_audio": True},
        "fal-ai/wan/v3.0/image-to-video",
        _BOTH,
    ),
)
