"""What a key may do: scopes, and the presets that stand for sets of them."""

from __future__ import annotations

from collections.abc import Sequence

from kit.errors import invalid

SCOPES = (
    "account:read",
    "generation:read",
    "generation:write",
    "generation:delete",
    "health:read",
    "library:read",
)
"""Every scope that a key can have (public contract, section 2)."""

PRESETS: dict[str, tuple[str, ...]] = {
    "full_access": SCOPES,
    "generate_only": ("generation:read", "generation:write", "library:read"),
    "read_only": ("account:read", "generation:read", "health:read", "library:read"),
    "monitor_only": ("health:read", "library:read"),
}
"""The scopes of each preset (public contract, section 13)."""


def chosen_scopes(preset: str, scopes: Sequence[str]) -> list[str]:
    """The scopes of a new key: a preset's, or the ones that are given, each once.

    Raises:
        BabySeaError: INVALID_INPUT when both or neither are given, or one is unknown.
    """
    if preset and scopes:
        raise invalid("scopes", "Give either a preset or scopes, not both.")
    if not preset and not scopes:
        raise invalid("preset", f"Give a preset ({', '.join(PRESETS)}) or scopes.")
    if preset:
        if preset not in PRESETS:
            raise invalid("preset", f"preset must be one of {', '.join(PRESETS)}.")
        return list(PRESETS[preset])
    for position, scope in enumerate(scopes):
        if scope not in SCOPES:
            raise invalid(f"scopes[{position}]", f"scopes may hold {', '.join(SCOPES)}.")
    return [scope for scope in SCOPES if scope in scopes]
