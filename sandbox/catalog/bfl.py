"""Black Forest Labs' models. FLUX.1 follows the input types of its SDK, FLUX.2 its API description.

The FLUX 3 ones are newer than both: their fields come from resellers' pages and copies.
"""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Number, Text, Whole
from ..shapes import InBase64, Pixels, Steps
from .flux3 import film_variants
from .kinds import ModelSpec, Price

_REPORT: dict[str, Field] = {"webhook_url": Link(), "webhook_secret": Text()}
_ONE_FORMAT = Choice(("jpeg", "png"))
_ANY_FORMAT = Choice(("jpeg", "png", "webp"))
_RATIO = Pixels(":", 1, 99, steepest=4.0)
_FILE = Text()
"""A URL or bare base64."""

_FLUX_1: dict[str, Field] = {
    **_REPORT,
    "prompt": Text(),
    "seed": Whole(0, 2**63 - 1),
    "safety_tolerance": Whole(0, 6),
    "output_format": _ONE_FORMAT,
    "prompt_upsampling": Flag(),
}
_SIDES: dict[str, Field] = {
    "width": Steps(256, 1440, 32),
    "height": Steps(256, 1440, 32),
    "image_prompt": InBase64(),
}
_FLUX_1_DEFAULTS = {"width": 1024, "height": 768, "output_format": "jpeg"}

_FLUX_2: dict[str, Field] = {
    **_REPORT,
    "prompt": Text(required=True),
    "seed": Whole(0, 2**63 - 1),
    "width": Whole(64, 4096),
    "height": Whole(64, 4096),
    "safety_tolerance": Whole(0, 5),
    "output_format": _ANY_FORMAT,
    **dict.fromkeys(("input_image", *(f"input_image_{number}" for number in range(2, 9))), _FILE),
}
_FLUX_2_DEFAULTS = {"width": 1024, "height": 1024, "output_format": "jpeg"}

_KONTEXT: dict[str, Field] = {
    **_FLUX_1,
    "prompt": Text(required=True),
    "aspect_ratio": _RATIO,
    "input_image": _FILE,
    **{f"input_image_{number}": _FILE for number in range(2, 5)},
}
_KONTEXT_DEFAULTS = {"aspect_ratio": "1:1", "output_format": "png"}

_FLUX_3 = film_variants(_REPORT)
_FLUX_3_IMAGE: dict[str, Field] = {
    **_REPORT,
    "prompt": Text(required=True),
    "aspect_ratio": _RATIO,
    "resolution": Choice(("1k", "2k", "4k")),
    "grounding": Flag(),
    "safety_tolerance": Whole(0, 4),
    "output_format": _ANY_FORMAT,
    "seed": Whole(0, 2**63 - 1),
    **dict.fromkeys(("input_image", *(f"input_image_{number}" for number in range(2, 9))), _FILE),
}


def _image(model: str, fields: dict[str, Field], price: Price, defaults: dict[str, object]) -> ModelSpec:
    return ModelSpec("bfl", model, "image", fields, price, defaults)


def _flux_2(model: str, first: int, more: int, extra: dict[str, Field] | None = None) -> ModelSpec:
    # Pictures given are counted as one megapixel more; nothing is said of klein's.
    file_micros = 0 if "klein" in model else more
    price = Price(
        "megapixel",
        first,
        more_micros=more,
        megapixel=1024 * 1024,
        file_micros=file_micros,
        file_fields="input_image",
    )
    return _image(model, _FLUX_2 | (extra or {}), price, dict(_FLUX_2_DEFAULTS))


_STEERED: dict[str, Field] = {"guidance": Number(1.5, 10), "steps": Whole(1, 50), "prompt_upsampling": Flag()}

MODELS: tuple[ModelSpec, ...] = (
    _flux_2("flux-2-pro", 30_000, 15_000),
    _flux_2("flux-2-max", 70_000, 30_000),
    _flux_2("flux-2-flex", 50_000, 50_000, _STEERED),
    _flux_2("flux-2-klein-4b", 14_000, 1_000),
    _flux_2("flux-2-klein-9b", 15_000, 2_000),
    _image("flux-kontext-pro", _KONTEXT, Price("image", 40_000), dict(_KONTEXT_DEFAULTS)),
    _image("flux-kontext-max", _KONTEXT, Price("image", 80_000), dict(_KONTEXT_DEFAULTS)),
    _image("flux-pro-1.1", _FLUX_1 | _SIDES, Price("image", 40_000), dict(_FLUX_1_DEFAULTS)),
    _image(
        "flux-pro-1.1-ultra",
        {
            **_FLUX_1,
            "aspect_ratio": Pixels(":", 1, 99, steepest=21 / 9),
            "raw": Flag(),
            "image_prompt": InBase64(),
            "image_prompt_strength": Number(0, 1),
        },
        Price("image", 60_000),
        {"aspect_ratio": "16:9", "output_format": "jpeg"},
    ),
    _image(
        "flux-dev",
        {**_FLUX_1, **_SIDES, "steps": Whole(1, 50), "guidance": Number(1.5, 5)},
        Price("image", 25_000),
        dict(_FLUX_1_DEFAULTS),
    ),
    _image(
        "flux-pro",
        {**_FLUX_1, **_SIDES, "steps": Whole(1, 50), "guidance": Number(1.5, 5), "interval": Number(1, 4)},
        Price("image", 50_000),
        dict(_FLUX_1_DEFAULTS),
    ),
    _image(
        "flux-pro-1.0-fill",
        {
            **_FLUX_1,
            "image": Text(required=True),
            "mask": _FILE,
            "steps": Whole(15, 50),
            "guidance": Number(1.5, 100),
        },
        Price("image", 50_000),
        dict(_FLUX_1_DEFAULTS),
    ),
    _image(
        "flux-3-image",
        _FLUX_3_IMAGE,
        Price("image", 50_000, by_resolution={"1k": 50_000, "2k": 80_000, "4k": 160_000}),
        {"aspect_ratio": "1:1", "resolution": "1k", "output_format": "jpeg"},
    ),
    ModelSpec(
        "bfl",
        "flux-3-video",
        "video",
        _FLUX_3.kinds["t2v"],
        Price("second", 170_000, by_resolution={"hd": 170_000, "fhd": 290_000}),
        {"aspect_ratio": "16:9", "duration": 5, "resolution": "hd", "generate_audio": True},
        variants=_FLUX_3,
    ),
)
