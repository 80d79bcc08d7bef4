"""The input of FLUX 3 films, which BFL and Cloudflare share: its fields depend on `mode`."""

from __future__ import annotations

from collections.abc import Mapping

from ..schema import Choice, Field, Flag, Number, Text, Whole
from ..shapes import Either, ListOf, Tagged

_FILE = Text(required=True)
"""A URL or bare base64."""

_PAIR = ListOf(Either((Number(0, 20), Text())), 2, 2)
"""A second and a picture."""

_COMMON: dict[str, Field] = {
    "prompt": Text(required=True),
    "aspect_ratio": Choice(("auto", "21:9", "2:1", "16:9", "4:3", "1:1", "3:4", "9:16")),
    "duration": Either((Whole(5, 20), Choice(("auto",)))),
    "resolution": Choice(("hd", "fhd")),
    "generate_audio": Flag(),
    "safety_tolerance": Whole(0, 4),
    "draft": Flag(),
}
_KEYFRAMES = Either((Text(), ListOf(Either((Text(), Number(0, 20), _PAIR)), 1, 10)), required=True)


def film_variants(more: Mapping[str, Field]) -> Tagged:
    """Return the kinds of input, each with `more` fields of the provider."""
    return Tagged(
        "mode",
        {
            "t2v": {**_COMMON, **more},
            "i2v": {**_COMMON, **more, "keyframes": _KEYFRAMES},
            "v2v": {**_COMMON, **more, "start_video": _FILE},
        },
    )
