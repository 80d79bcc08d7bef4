"""What becomes of an accepted job: knobs, magic prompts and dice, put together once and for all."""

from __future__ import annotations

import hashlib
import math
import random
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from .jobs import State
from .knobs import Knobs
from .magic import Magic
from .media.sketch import MediaShape
from .models import Price

_MOST_PROMPTS = 10_000


@dataclass(frozen=True)
class Fate:
    """How one job goes."""

    end: State
    latency_s: float
    refused_at_output: bool
    delivered: int
    """Outputs that it makes."""

    cost_factor: float
    spare_seed: int
    """Seed for a request that names none."""


class Repeats:
    """How many jobs each prompt had, so that a fan-out of calls can succeed in part."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, int] = OrderedDict()

    def next(self, provider: str, prompt: str) -> int:
        """Count one more job of that prompt and return how many there were before."""
        key = hashlib.sha256(f"{provider}:{prompt}".encode()).hexdigest()
        before = self._seen.pop(key, 0)
        self._seen[key] = before + 1
        if len(self._seen) > _MOST_PROMPTS:
            self._seen.popitem(last=False)
        return before

    def clear(self) -> None:
        """Forget every prompt."""
        self._seen.clear()


def moderation_of(knobs: Knobs, magic: Magic) -> str | None:
    """Return where the content policy refuses the job: "submit", "task" or "output"; None for nowhere."""
    asked = magic.word("moderate")
    if asked is not None:
        return asked or "task"
    if knobs.moderation is True:
        return "task"
    return knobs.moderation or None


def decide(
    knobs: Knobs, magic: Magic, dice: random.Random, usual_ms: tuple[int, int], outputs: int, earlier: int
) -> Fate:
    """Return how a job goes whose prompt had `earlier` jobs before."""
    falls = dice.random() < knobs.failure_rate
    slow_ms = magic.milliseconds("slow")
    shortest, longest = usual_ms if knobs.latency_ms is None else knobs.latency_ms
    latency_ms = dice.uniform(shortest, longest) if slow_ms is None else slow_ms
    spare_seed = dice.randrange(2**31)

    partial = magic.whole("partial")
    partial = knobs.partial if partial is None else partial
    delivered = outputs
    if partial is not None:
        short = earlier >= partial if outputs == 1 else partial == 0
        falls = falls or short
        delivered = outputs if outputs == 1 else max(1, min(outputs, partial))

    moderation = moderation_of(knobs, magic)
    end = State.SUCCEEDED
    if moderation is not None:
        end = State.MODERATED
    elif magic.asks("fail") or falls or _late_ms(knobs, magic) is not None:
        end = State.FAILED

    factor = magic.word("cost")
    return Fate(
        end=end,
        latency_s=latency_ms / 1000,
        refused_at_output=moderation == "output",
        delivered=delivered,
        cost_factor=knobs.cost_factor if factor is None else float(factor),
        spare_seed=spare_seed,
    )


def late_s(knobs: Knobs, magic: Magic) -> float | None:
    """Return after how many seconds an end without success turns to success; None for never."""
    late_ms = _late_ms(knobs, magic)
    return None if late_ms is None else late_ms / 1000


def _late_ms(knobs: Knobs, magic: Magic) -> int | None:
    asked = magic.milliseconds("late")
    return knobs.late_success_ms if asked is None else asked


def cost_micros(
    price: Price, shape: MediaShape, given: Mapping[str, object], defaults: Mapping[str, object]
) -> int:
    """Return what a finished job costs upstream, in micro-dollars."""
    grade = " ".join(_grade(name, given, defaults) for name in price.graded_by.split(" "))
    micros = price.by_resolution.get(grade, price.micros)
    if price.unit == "video":
        return micros
    if price.unit == "second":
        silent = micros if price.silent_micros is None else price.silent_micros
        silent = price.silent_by_resolution.get(grade, silent)
        return round((micros if shape.audio else silent) * shape.seconds)

    if price.unit == "megapixel":
        megapixels = math.ceil(shape.width * shape.height / price.megapixel)
        micros += (micros if price.more_micros is None else price.more_micros) * (megapixels - 1)
    return (micros + price.file_micros * _files(price, given)) * shape.count


def _grade(input_name: str, given: Mapping[str, object], defaults: Mapping[str, object]) -> str:
    for source in (given, defaults):
        value: object = source
        for name in input_name.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None:
            return str(value)
    return ""


def _files(price: Price, given: Mapping[str, object]) -> int:
    if not price.file_fields:
        return 0
    found = [value for name, value in given.items() if name.startswith(price.file_fields)]
    return sum(len(value) if isinstance(value, list) else 1 for value in found)
