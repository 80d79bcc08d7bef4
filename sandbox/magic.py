"""Magic prompts: tokens in a prompt that make one job misbehave, as test card numbers do in payments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .trouble import ASKABLE

_TOKEN = re.compile(r"\[\[([a-z]+)(?:@([a-z]+))?(?:=([a-z0-9.]+))?\]\]", re.IGNORECASE)

LONGEST_MS = 3_600_000
"""Longest time that a token may ask for: one hour."""

MODERATIONS = ("submit", "task", "output")
"""Where a content policy can refuse."""

OUTPUT_FAULTS = (
    *("forbidden", "missing", "expired"),
    *("garbage", "truncated", "empty", "wrongsize", "wrongformat", "short"),
)
"""What can be wrong with an output: with its address, or with its bytes."""

CALLBACK_MODES = ("send", "none", "twice", "forged", "stale", "reordered")
"""How a provider reports; "send" is a provider in good health."""

_ALIASES = {"alibaba": "alibabacloud"}


def _is_time(value: str) -> bool:
    return value.isdigit() and len(value) < 10


def _is_factor(value: str) -> bool:
    return re.fullmatch(r"\d{1,3}(?:\.\d{1,3})?", value) is not None


_SWITCHES = frozenset(
    {"fail", "outage", "invalid", "ratelimit", "lose", "reset", "ignorecancel", "throttled"}
)
_VALUED: Mapping[str, Callable[[str], bool]] = {
    "slow": _is_time,
    "hang": _is_time,
    "late": _is_time,
    "slowcancel": _is_time,
    "partial": _is_time,
    "cost": _is_factor,
    "refuse": ASKABLE.__contains__,
    "moderate": ("", *MODERATIONS).__contains__,
    "output": OUTPUT_FAULTS.__contains__,
    "callback": CALLBACK_MODES.__contains__,
}


@dataclass(frozen=True)
class Magic:
    """What the tokens of one prompt ask of one provider."""

    switches: frozenset[str] = frozenset()
    values: Mapping[str, str] = field(default_factory=dict)

    def asks(self, name: str) -> bool:
        """Say whether the switch `name` (such as "fail") was thrown."""
        return name in self.switches

    def word(self, name: str) -> str | None:
        """Return the value of a token such as `[[output=missing]]`; None when it was not given."""
        return self.values.get(name)

    def milliseconds(self, name: str) -> int | None:
        """Return the time that a token asks for, an hour at most; None when it was not given."""
        value = self.values.get(name)
        return None if value is None else min(int(value), LONGEST_MS)

    def whole(self, name: str) -> int | None:
        """Return the number that a token asks for; None when it was not given."""
        value = self.values.get(name)
        return None if value is None else int(value)

    @property
    def names(self) -> list[str]:
        """The tokens that were understood, for the log; never any other text of the prompt."""
        valued = [f"{name}={value}" if value else name for name, value in self.values.items()]
        return sorted(self.switches) + sorted(valued)


def read_magic(prompt: str, provider: str) -> Magic:
    """Find the tokens of `prompt` that concern `provider`; unknown tokens are plain text."""
    if "[[" not in prompt:
        return Magic()

    switches: set[str] = set()
    values: dict[str, str] = {}
    for name, scope, value in (tuple(map(str.lower, match)) for match in _TOKEN.findall(prompt)):
        if name == "outage" and value and not scope:
            scope, value = value, ""
        if scope and _ALIASES.get(scope, scope) != provider:
            continue
        if name in _SWITCHES and not value:
            switches.add(name)
        elif name in _VALUED and _VALUED[name](value):
            values[name] = value
    return Magic(frozenset(switches), values)
