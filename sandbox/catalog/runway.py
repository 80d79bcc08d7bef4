"""Runway's models. Fields and lists follow the parameter types of its SDK; `route` is the path of the call."""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Text, Whole
from ..shapes import Either, ListOf, Record
from .kinds import ModelSpec, Price

_CREDIT = 10_000
"""Micro-dollars of one credit."""

_SEED = Whole(0, 2**32 - 1)
_MODEL = Text(required=True)
_PROMPT = Text(required=True, most=1_000)
_LOOSE_PROMPT = Text(most=1_000)
_MODERATION = Record({"publicFigureThreshold": Choice(("auto", "low"))})
_REFERENCE = Record({"uri": Link(required=True), "tag": Text(most=16)})

_PICTURE_RATIOS = (
    *("1024:1024", "1080:1080", "1168:880", "1360:768", "1440:1080", "1080:1440", "1808:768", "1920:1080"),
    *("1080:1920", "2112:912", "1280:720", "720:1280", "720:720", "960:720", "720:960", "1680:720"),
)
_SMALL = ("1280:720", "720:1280", "720:720", "960:720", "720:960", "1680:720")
_GEN4_RATIOS = ("1280:720", "720:1280", "1104:832", "960:960", "832:1104", "1584:672")
_VEO_RATIOS = ("1280:720", "720:1280", "1080:1920", "1920:1080")
_GEMINI_RATIOS = (
    *("1344:768", "768:1344", "1024:1024", "1184:864", "864:1184", "1536:672", "832:1248", "1248:832"),
    *("896:1152", "1152:896"),
)
_SEEDANCE_FAST_RATIOS = (
    *("992:432", "864:496", "752:560", "640:640", "560:752", "496:864", "1470:630", "1280:720", "1112:834"),
    *("960:960", "834:1112", "720:1280"),
)
_WAN_RATIOS = (
    *("832:480", "720:544", "624:624", "544:720", "480:832", "1280:720", "1104:832", "960:960", "832:1104"),
    *("720:1280", "1920:1080", "1648:1248", "1440:1440", "1248:1648", "1080:1920"),
)


def _prompt_image(*positions: str) -> Field:
    item = Record({"uri": Link(required=True), "position": Choice(positions, required=True)})
    return Either((Link(), ListOf(item, 1, len(positions))), required=True)


def _film(
    route: str, model: str, credits_per_second: int, fields: dict[str, Field], silent: int | None = None
) -> ModelSpec:
    price = Price("second", credits_per_second * _CREDIT, silent_micros=silent and silent * _CREDIT)
    defaults = {"duration": 5, "ratio": "1280:720", "audio": silent is not None}
    return ModelSpec("runway", model, "video", {"model": _MODEL, **fields}, price, defaults, route=route)


def _picture(model: str, fields: dict[str, Field], price: Price) -> ModelSpec:
    given = {"model": _MODEL, "promptText": _PROMPT, **fields}
    return ModelSpec("runway", model, "image", given, price, {"outputCount": 1}, route="text_to_image")


_GEN45: dict[str, Field] = {
    "promptText": _PROMPT,
    "duration": Whole(2, 10, required=True),
    "contentModeration": _MODERATION,
    "outputFormat": Choice(("mp4",)),
    "seed": _SEED,
}
_VEO: dict[str, Field] = {
    "ratio": Choice(_VEO_RATIOS, required=True),
    "audio": Flag(),
    "duration": Choice((4, 6, 8)),
    "negativePrompt": Text(),
    "seed": _SEED,
}
_SEEDANCE: dict[str, Field] = {
    "ratio": Choice(_SEEDANCE_FAST_RATIOS),
    "audio": Flag(),
    "duration": Either((Whole(4, 15), Choice(("auto",)))),
    "seed": _SEED,
}
_WAN: dict[str, Field] = {"ratio": Choice(_WAN_RATIOS), "audio": Flag(), "duration": Whole(2, 15)}
_GEN4_PRICE = Price("image", 8 * _CREDIT, by_resolution=dict.fromkeys(_SMALL, 5 * _CREDIT), graded_by="ratio")
_GEN4_PICTURE: dict[str, Field] = {
    "ratio": Choice(_PICTURE_RATIOS, required=True),
    "contentModeration": _MODERATION,
    "seed": _SEED,
}
_FIRST = _prompt_image("first")
_BOTH = _prompt_image("first", "last")

MODELS: tuple[ModelSpec, ...] = (
    _picture("gen4_image", {**_GEN4_PICTURE, "referenceImages": ListOf(_REFERENCE, 0, 3)}, _GEN4_PRICE),
    _picture(
        "gen4_image_turbo",
        {**_GEN4_PICTURE, "referenceImages": ListOf(_REFERENCE, 1, 3, required=True)},
        Price("image", 2 * _CREDIT),
    ),
    _picture(
        "gemini_2.5_flash",
        {"ratio": Choice(_GEMINI_RATIOS, required=True), "referenceImages": ListOf(_REFERENCE, 0, 3)},
        Price("image", 5 * _CREDIT),
    ),
    _film(
        "text_to_video",
        "gen4.5",
        12,
        {**_GEN45, "ratio": Choice(("1280:720", "720:1280"), required=True)},
    ),
    _film(
        "image_to_video",
        "gen4.5",
        12,
        {**_GEN45, "ratio": Choice(_GEN4_RATIOS, required=True), "promptImage": _FIRST},
    ),
    _film(
        "image_to_video",
        "gen4_turbo",
        5,
        {
            "promptImage": _FIRST,
            "promptText": _LOOSE_PROMPT,
            "ratio": Choice(_GEN4_RATIOS, required=True),
            "duration": Whole(2, 10),
            "contentModeration": _MODERATION,
            "seed": _SEED,
        },
    ),
    _film("text_to_video", "veo3.1", 40, {**_VEO, "promptText": _PROMPT}, 20),
    _film("image_to_video", "veo3.1", 40, {**_VEO, "promptText": _LOOSE_PROMPT, "promptImage": _BOTH}, 20),
    _film("text_to_video", "veo3.1_fast", 15, {**_VEO, "promptText": _PROMPT}, 10),
    _film(
        "image_to_video", "veo3.1_fast", 15, {**_VEO, "promptText": _LOOSE_PROMPT, "promptImage": _BOTH}, 10
    ),
    _film("text_to_video", "seedance2_fast", 24, {**_SEEDANCE, "promptText": _PROMPT}),
    _film(
        "image_to_video",
        "seedance2_fast",
        24,
        {**_SEEDANCE, "promptText": _LOOSE_PROMPT, "promptImage": _BOTH},
    ),
    _film("text_to_video", "wan3", 15, {**_WAN, "promptText": _PROMPT}),
    _film("image_to_video", "wan3", 15, {**_WAN, "promptText": _PROMPT, "promptImage": _BOTH}),
)
