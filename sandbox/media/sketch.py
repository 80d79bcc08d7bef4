"""What to draw: colours and shapes taken from a prompt's words, without keeping its text."""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from typing import Literal

Colour = tuple[int, int, int]

_NAMED: dict[str, Colour] = {
    "red": (214, 48, 49),
    "orange": (243, 134, 48),
    "yellow": (250, 211, 60),
    "gold": (212, 168, 60),
    "green": (46, 160, 90),
    "teal": (22, 140, 140),
    "blue": (41, 98, 200),
    "sea": (24, 110, 160),
    "sky": (120, 180, 235),
    "purple": (120, 70, 190),
    "pink": (235, 120, 170),
    "brown": (120, 80, 50),
    "black": (24, 24, 28),
    "white": (244, 244, 240),
    "grey": (128, 130, 136),
    "gray": (128, 130, 136),
    "night": (18, 22, 52),
    "sunset": (240, 110, 70),
}

_MOST_MARKS = 14


@dataclass(frozen=True)
class MediaShape:
    """The outer form of what a job makes."""

    kind: Literal["image", "video"]
    count: int
    width: int
    height: int
    """Pixels of a picture; for a film only their ratio counts, because films are encoded small."""

    format: Literal["png", "jpeg", "webp", "mp4"]
    quality: int = 80
    seconds: float = 0.0
    audio: bool = False


@dataclass(frozen=True)
class Mark:
    """One shape: places and sizes are shares of the picture's sides."""

    form: Literal["ellipse", "box", "triangle"]
    x: float
    y: float
    reach: float
    colour: Colour
    drift: tuple[float, float]
    """How far it moves in a second of film."""


@dataclass(frozen=True)
class Sketch:
    """A drawing that any size of picture or film can be made from."""

    top: Colour
    bottom: Colour
    marks: tuple[Mark, ...]
    pitch_hz: int

    def key(self) -> str:
        """Return a digest that names the drawing in caches."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def sketch(prompt: str, seed: int, index: int) -> Sketch:
    """Draw `prompt`: the same prompt, seed and output index give the same sketch, always."""
    words = re.findall(r"\w+", prompt.lower())
    dice = _dice(prompt, seed, index)
    named = [_NAMED[word] for word in words if word in _NAMED]
    palette = named or [_any_colour(dice) for _ in range(3)]
    top = _shade(palette[0], 0.55)
    bottom = _shade(palette[-1], 1.25)
    marks = tuple(_mark(word, seed, index, palette) for word in words[:_MOST_MARKS])
    return Sketch(top, bottom, marks or (_mark("", seed, index, palette),), dice.randrange(180, 520))


def _mark(word: str, seed: int, index: int, palette: list[Colour]) -> Mark:
    dice = _dice(word, seed, index)
    forms: tuple[Literal["ellipse", "box", "triangle"], ...] = ("ellipse", "box", "triangle")
    own = _NAMED.get(word)
    return Mark(
        form=dice.choice(forms),
        x=dice.uniform(0.08, 0.92),
        y=dice.uniform(0.08, 0.92),
        reach=dice.uniform(0.14, 0.24) if own else dice.uniform(0.04, 0.14),
        colour=own or _shade(dice.choice(palette), dice.uniform(0.6, 1.5)),
        drift=(dice.uniform(-0.12, 0.12), dice.uniform(-0.08, 0.08)),
    )


def _dice(text: str, seed: int, index: int) -> random.Random:
    digest = hashlib.sha256(f"{seed}:{index}:{text}".encode()).digest()
    return random.Random(digest)  # noqa: S311 - a drawing, not a secret


def _any_colour(dice: random.Random) -> Colour:
    return (dice.randrange(30, 226), dice.randrange(30, 226), dice.randrange(30, 226))


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(part * factor)) for part in colour)
    return (red, green, blue)
