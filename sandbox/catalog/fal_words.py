"""What Fal's models have in common: fields that many of them take, and how one is written down.

Fields, options, what is required and what a result holds follow the types of Fal's official JavaScript SDK, which a unit test
compares field by field. Those types say no ranges: where the SDK's comments name none, a range is assumed.
"""

from __future__ import annotations

from ..schema import Choice, Field, Flag, Link, Links, Size, Text, Whole
from .kinds import ModelSpec, Price

PROMPT = Text(required=True)
SEED = Whole(-1, 2**32 - 1)
SHORT_SEED = Whole(0, 2**31 - 1)
NAMED_SIZES = ("square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9")
SIZE = Size(NAMED_SIZES, 64, 2048)
COUNT = Whole(1, 4)
TWO_FORMATS = Choice(("jpeg", "png"))
FORMATS = Choice(("jpeg", "png", "webp"))
SPEED = Choice(("none", "regular", "high"))
SAFETY = Choice(("1", "2", "3", "4", "5", "6"))
SYNC: dict[str, Field] = {"sync_mode": Flag()}
CHECKED: dict[str, Field] = {"enable_safety_checker": Flag()}
FIRST: dict[str, Field] = {"image_url": Link(required=True)}
BOTH: dict[str, Field] = {**FIRST, "end_image_url": Link()}

FLAGGED = ("images", "timings", "seed", "has_nsfw_concepts", "prompt")
SEEDED = ("images", "seed")
ALONE = ("images",)
TOLD = ("description", "images")
FILM = ("video",)
SEEDED_FILM = ("seed", "video")


def files(most: int) -> dict[str, Field]:
    """Return the field of a model that edits up to so many pictures."""
    return {"image_urls": Links(most, required=True)}


def seconds(least: int, most: int, *more: str) -> Field:
    """Return a duration in whole seconds, which Fal's models take as a text."""
    return Choice((*more, *(str(number) for number in range(least, most + 1))))


def picture(
    name: str,
    fields: dict[str, Field],
    price: Price,
    answers: tuple[str, ...] = FLAGGED,
    /,
    **defaults: object,
) -> ModelSpec:
    """Return a model of pictures; `defaults` are those of the fields that shape them."""
    usual = {"num_images": 1, "output_format": "png"}
    return ModelSpec(
        "fal", name, "image", {"prompt": PROMPT, **fields}, price, usual | defaults, answers=answers
    )


def film(
    name: str,
    fields: dict[str, Field],
    price: Price,
    answers: tuple[str, ...] = SEEDED_FILM,
    /,
    **defaults: object,
) -> ModelSpec:
    """Return a model of films; `defaults` are those of the fields that shape them."""
    usual = {"aspect_ratio": "16:9", "duration": "5", "resolution": "720p"}
    return ModelSpec(
        "fal", name, "video", {"prompt": PROMPT, **fields}, price, usual | defaults, answers=answers
    )


def graded(low: int, middle: int, high: int) -> Price:
    """Return a price per second for 480p, 720p and 1080p."""
    return Price("second", middle, by_resolution={"480p": low, "720p": middle, "1080p": high})
