"""OpenAI's image models. Fields and ranges follow the parameter types of its SDK."""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Text, Whole
from ..shapes import ListOf, Pixels
from .kinds import ModelSpec, Price

_FREE_SIZE = Pixels("x", 256, 3840, ("auto",), step=16, most_pixels=3840 * 2160, steepest=3.0)
_FIXED_SIZE = Choice(("auto", "1024x1024", "1536x1024", "1024x1536"))
_QUALITY = ("auto", "low", "medium", "high")

_COMMON: dict[str, Field] = {
    "model": Text(required=True),
    "prompt": Text(required=True, most=32_000),
    "background": Choice(("transparent", "opaque", "auto")),
    "complexity": Choice(("low", "medium", "high")),
    "n": Whole(1, 10),
    "output_compression": Whole(0, 100),
    "output_format": Choice(("png", "webp", "jpeg")),
    "partial_images": Whole(0, 3),
    "safety_identifier": Text(),
    "stream": Flag(),
    "user": Text(),
}
_GENERATE: dict[str, Field] = {**_COMMON, "moderation": Choice(("low", "auto"))}
_EDIT: dict[str, Field] = {
    **_COMMON,
    "image": ListOf(Text(), 1, 16, required=True),
    "input_fidelity": Choice(("high", "low")),
}
_DEFAULTS = {"size": "auto", "n": 1, "output_format": "png", "output_compression": 100, "quality": "auto"}

# By quality, square and otherwise, and what each picture given adds. Only the smallest model's figures are documented.
_PRICES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int], int]] = {
    "gpt-image-2": ((11_000, 60_000, 200_000), (11_000, 60_000, 200_000), 5_000),
    "gpt-image-2.5-sunburst": ((11_000, 60_000, 200_000), (11_000, 60_000, 200_000), 5_000),
    "gpt-image-2.5-flare": ((6_000, 20_000, 80_000), (6_000, 20_000, 80_000), 2_000),
    "gpt-image-2.6-sunburst": ((11_000, 60_000, 200_000), (11_000, 60_000, 200_000), 5_000),
    "gpt-image-2.6-flare": ((6_000, 20_000, 80_000), (6_000, 20_000, 80_000), 2_000),
    "gpt-image-1.5": ((9_000, 34_000, 133_000), (13_000, 50_000, 200_000), 4_000),
    "gpt-image-1-mini": ((5_000, 11_000, 36_000), (6_000, 15_000, 52_000), 2_000),
    "chatgpt-image-latest": ((9_000, 34_000, 133_000), (13_000, 50_000, 200_000), 4_000),
}
_SQUARE = ("auto", "1024x1024")


def _price(square: tuple[int, int, int], other: tuple[int, int, int], file_micros: int) -> Price:
    by_grade: dict[str, int] = {}
    for prices, sizes in ((square, _SQUARE), (other, ("1536x1024", "1024x1536"))):
        low, medium, high = prices
        # Nobody says what quality "auto" is.
        each = {
            "auto": medium,
            "low": low,
            "medium": medium,
            "high": high,
            "xhigh": high * 2,
            "max": high * 4,
        }
        by_grade |= {f"{quality} {size}": micros for quality, micros in each.items() for size in sizes}
    return Price(
        "image",
        other[1],
        by_resolution=by_grade,
        graded_by="quality size",
        file_micros=file_micros,
        file_fields="image",
    )


def _specs(model: str) -> tuple[ModelSpec, ...]:
    newest = model.startswith(("gpt-image-2.5", "gpt-image-2.6"))
    shape: dict[str, Field] = {
        "size": _FREE_SIZE if model.startswith("gpt-image-2") else _FIXED_SIZE,
        "quality": Choice((*_QUALITY, "xhigh", "max") if newest else _QUALITY),
    }
    price = _price(*_PRICES[model])
    return (
        ModelSpec("openai", model, "image", _GENERATE | shape, price, _DEFAULTS, route="generations"),
        ModelSpec("openai", model, "image", _EDIT | shape, price, _DEFAULTS, route="edits"),
    )


MODELS: tuple[ModelSpec, ...] = tuple(spec for model in _PRICES for spec in _specs(model))
