"""Models of Fal's that the types of its SDK do not have: everything about them is assumed from the nearest one they do have.

docs/sandbox.md lists them. A request of ours that fits proves nothing about the real ones.
"""

from __future__ import annotations

from ..schema import Choice, Field, Flag
from .fal_films import SEEDANCE_15, WAN_27
from .fal_pictures import gpt_images
from .fal_words import BOTH, film, graded, seconds
from .kinds import ModelSpec

_HEARD = {"generate_audio": True}

# Like seedance 1.5, which has a fixed camera and a safety checker beside; both are left out because nobody has seen them.
_SEEDANCE_2: dict[str, Field] = {
    **{name: SEEDANCE_15[name] for name in ("aspect_ratio", "resolution", "generate_audio", "seed")},
    "duration": seconds(4, 15, "auto"),
}
_SEEDANCE_2_FAST: dict[str, Field] = {**_SEEDANCE_2, "resolution": Choice(("480p", "720p"))}
# Like wan 2.7, with the sizes, lengths and sound that the maker says of 3.0.
_WAN_3: dict[str, Field] = {
    **{name: WAN_27[name] for name in ("enable_prompt_expansion", "enable_safety_checker", "seed")},
    "aspect_ratio": Choice(("16:9", "9:16", "1:1", "4:3", "3:4", "21:9")),
    "resolution": Choice(("480p", "720p", "1080p")),
    "duration": seconds(2, 15),
    "generate_audio": Flag(),
}
_SEEDANCE_2_PRICE = graded(140_000, 310_000, 700_000)
_SEEDANCE_2_FAST_PRICE = graded(110_000, 242_000, 242_000)
_WAN_3_PRICE = graded(50_000, 100_000, 200_000)

MODELS: tuple[ModelSpec, ...] = (
    *gpt_images("openai/gpt-image-2", 60_000, 5_000),
    film("bytedance/seedance-2.0/text-to-video", _SEEDANCE_2, _SEEDANCE_2_PRICE, **_HEARD),
    film("bytedance/seedance-2.0/image-to-video", _SEEDANCE_2 | BOTH, _SEEDANCE_2_PRICE, **_HEARD),
    film("bytedance/seedance-2.0/fast/text-to-video", _SEEDANCE_2_FAST, _SEEDANCE_2_FAST_PRICE, **_HEARD),
    film(
        "bytedance/seedance-2.0/fast/image-to-video",
        _SEEDANCE_2_FAST | BOTH,
        _SEEDANCE_2_FAST_PRICE,
        **_HEARD,
    ),
    film("fal-ai/wan/v3.0/text-to-video", _WAN_3, _WAN_3_PRICE, **_HEARD),
    film("fal-ai/wan/v3.0/image-to-video", _WAN_3 | BOTH, _WAN_3_PRICE, **_HEARD),
)
