"""Magic prompts: tokens in a prompt that make one job misbehave, as test card numbers do in payments."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\[\[([a-z]+)(?:@([a-z]+))?(?:=([a-z0-9]+))?\]\]", re.IGNORECASE)

_SWITCHES = frozenset({"fail", "moderate", "outage", "invalid", "ratelimit", "lose", "ignorecancel"})

MAX_SLOW_MS = 3_600_000
"""Longest latency a `[[slow=…]]` token may ask for: one hour."""


@dataclass(frozen=True)
class Magic:
    """What the tokens of one prompt ask of one provider."""

    switches: frozenset[str] = frozenset()
    slow_ms: int | None = None

    def asks(self, name: str) -> bool:
        """Say whether the switch `name` (such as "fail") was thrown."""
        return name in self.switches

    @property
    def names(self) -> list[str]:
        """The tokens that were understood, for the log; never any other text of the prompt."""
        slow = [f"slow={self.slow_ms}"] if self.slow_ms is not None else []
        return sorted(self.switches) + slow


def read_magic(prompt: str, provider: str) -> Magic:
    """Find the tokens of `prompt` that concern `provider`; unknown tokens are plain text."""
    if "[[" not in prompt:
        return Magic()

    switches: set[str] = set()
    slow_ms: int | None = None
    for name, scope, value in (tuple(map(str.lower, match)) for match in _TOKEN.findall(prompt)):
        if name == "outage" and value and not scope:
            scope, value = value, ""
        if scope and scope != provider:
            continue
        if name == "slow" and value.isdigit():
            slow_ms = min(int(value), MAX_SLOW_MS)
        elif name in _SWITCHES and not value:
            switches.add(name)
    return Magic(frozenset(switches), slow_ms)
