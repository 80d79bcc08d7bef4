"""Cloudflare's models: its own ones (`@cf/…`) and those of third parties, as its model pages describe them.

`route` says how an answer looks: "json" holds base64 in the v4 envelope, "binary" is the picture itself, "form" takes
multipart and answers like "json", "third" is the one path for models of others, which answer with a URL.
"""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Links, Number, Text, Whole
from .flux3 import film_variants
from .kinds import ModelSpec, Price

_WIDE_SEED = Whole(-(2**53) + 1, 2**53 - 1)
_SEED = Whole(0, 2**53 - 1)

_DIFFUSION: dict[str, Field] = {
    "prompt": Text(required=True),
    "negative_prompt": Text(),
    "height": Whole(256, 2048),
    "width": Whole(256, 2048),
    "image_b64": Text(),
    "num_steps": Whole(1, 20),
    "strength": Number(0, 1),
    "guidance": Number(0, 100),
    "seed": _SEED,
}
_FORM: dict[str, Field] = {
    "prompt": Text(required=True, most=2_048),
    "width": Whole(256, 1_920),
    "height": Whole(256, 1_920),
    "steps": Whole(1, 50),
    "seed": _SEED,
    "guidance": Number(0, 20),
    "input_image_0": Text(),
    "input_image_1": Text(),
    "input_image_2": Text(),
    "input_image_3": Text(),
}
_SQUARE = {"width": 1024, "height": 1024}

_FLUX_2: dict[str, Field] = {
    "prompt": Text(required=True),
    "seed": _WIDE_SEED,
    "width": Whole(64, 2**53 - 1),
    "height": Whole(64, 2**53 - 1),
    "safety_tolerance": Whole(0, 5),
    "output_format": Choice(("jpeg", "png", "webp")),
    "input_images": Links(8),
}
_SEEDANCE: dict[str, Field] = {
    "prompt": Text(required=True, most=2_000),
    "aspect_ratio": Choice(("16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "9:21")),
    "camera_fixed": Flag(),
    "duration": Whole(4, 12),
    "fps": Choice((24,)),
    "generate_audio": Flag(),
    "image": Link(),
    "last_frame_image": Link(),
    "reference_images": Links(4),
    "reference_video": Link(),
    "seed": _WIDE_SEED,
    "watermark": Flag(),
}
_VEO: dict[str, Field] = {
    "prompt": Text(required=True),
    "image_input": Text(),
    "duration": Choice(("4s", "6s", "8s")),
    "aspect_ratio": Choice(("16:9", "9:16", "1:1")),
    "resolution": Choice(("720p", "1080p")),
    "generate_audio": Flag(),
}
_VEO_DEFAULTS = {"duration": "6s", "aspect_ratio": "16:9", "resolution": "720p", "generate_audio": True}
_FLUX_3 = film_variants({})
_WAN: dict[str, Field] = {
    "prompt": Text(required=True),
    "aspect_ratio": Choice(("16:9", "9:16", "1:1", "4:3", "3:4", "21:9")),
    "resolution": Choice(("480p", "720p", "1080p")),
    "duration": Whole(2, 30),
    "audio": Flag(),
    "image": Link(),
    "last_frame_image": Link(),
    "seed": _SEED,
}


def _own(name: str, route: str, fields: dict[str, Field], micros: int, form: str) -> ModelSpec:
    defaults = {**_SQUARE, "output_format": form}
    return ModelSpec(
        "cloudflare", f"@cf/{name}", "image", fields, Price("image", micros), defaults, route=route
    )


def _flux_2(name: str, first: int, more: int) -> ModelSpec:
    return ModelSpec(
        "cloudflare",
        f"black-forest-labs/{name}",
        "image",
        _FLUX_2,
        Price("megapixel", first, more_micros=more, megapixel=1024 * 1024),
        {**_SQUARE, "output_format": "jpeg"},
        route="third",
    )


def _film(name: str, fields: dict[str, Field], price: Price, defaults: dict[str, object]) -> ModelSpec:
    return ModelSpec("cloudflare", name, "video", fields, price, defaults, route="third")


_SEEDANCE_DEFAULTS: dict[str, object] = {"duration": 5, "resolution": "720p", "aspect_ratio": "16:9"}

MODELS: tuple[ModelSpec, ...] = (
    _own(
        "black-forest-labs/flux-1-schnell",
        "json",
        {"prompt": Text(required=True, most=2_048), "steps": Whole(1, 8)},
        1_000,
        "jpeg",
    ),
    _own(
        "leonardo/lucid-origin",
        "json",
        {
            "prompt": Text(required=True),
            "guidance": Number(0, 10),
            "seed": _SEED,
            "height": Whole(0, 2_500),
            "width": Whole(0, 2_500),
            "num_steps": Whole(1, 40),
            "steps": Whole(1, 40),
        },
        7_000,
        "jpeg",
    ),
    _own("stabilityai/stable-diffusion-xl-base-1.0", "binary", _DIFFUSION, 500, "png"),
    _own("bytedance/stable-diffusion-xl-lightning", "binary", _DIFFUSION, 500, "jpeg"),
    _own("lykon/dreamshaper-8-lcm", "binary", _DIFFUSION, 500, "png"),
    _own("black-forest-labs/flux-2-dev", "form", _FORM, 40_000, "jpeg"),
    _own("black-forest-labs/flux-2-klein-4b", "form", _FORM, 2_000, "jpeg"),
    _own("black-forest-labs/flux-2-klein-9b", "form", _FORM, 15_000, "jpeg"),
    _flux_2("flux-2-max", 70_000, 30_000),
    _flux_2("flux-2-pro-preview", 30_000, 15_000),
    _flux_2("flux-2-flex", 50_000, 50_000),
    ModelSpec(
        "cloudflare",
        "google/imagen-4",
        "image",
        {
            "prompt": Text(required=True),
            "aspect_ratio": Choice(("1:1", "3:4", "4:3", "9:16", "16:9")),
            "person_generation": Choice(("dont_allow", "allow_adult", "allow_all")),
        },
        Price("image", 40_000),
        {"aspect_ratio": "1:1", "output_format": "jpeg"},
        route="third",
    ),
    _film(
        "bytedance/seedance-2.0-fast",
        _SEEDANCE | {"resolution": Choice(("480p", "720p"))},
        Price("second", 242_000, by_resolution={"480p": 110_000, "720p": 242_000}),
        _SEEDANCE_DEFAULTS,
    ),
    _film(
        "bytedance/seedance-2.0",
        _SEEDANCE | {"resolution": Choice(("480p", "720p", "1080p"))},
        Price("second", 310_000, by_resolution={"480p": 140_000, "720p": 310_000, "1080p": 700_000}),
        _SEEDANCE_DEFAULTS,
    ),
    _film(
        "google/veo-3.1-fast",
        _VEO,
        Price("second", 100_000, silent_micros=80_000),
        dict(_VEO_DEFAULTS),
    ),
    _film("google/veo-3.1", _VEO, Price("second", 400_000, silent_micros=200_000), dict(_VEO_DEFAULTS)),
    _film(
        "alibaba/wan-3.0",
        _WAN,
        Price("second", 82_500, by_resolution={"480p": 41_300, "720p": 82_500, "1080p": 165_000}),
        {"duration": 5, "resolution": "1080p", "aspect_ratio": "16:9", "generate_audio": True},
    ),
    ModelSpec(
        "cloudflare",
        "black-forest-labs/flux-3-video",
        "video",
        _FLUX_3.kinds["t2v"],
        Price("second", 170_000, by_resolution={"hd": 170_000, "fhd": 290_000}),
        {"duration": 5, "resolution": "hd", "aspect_ratio": "16:9", "generate_audio": True},
        route="third",
        variants=_FLUX_3,
    ),
)
