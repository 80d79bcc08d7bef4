"""What the SDKs and our adapters sent for the same operation, compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.sdk.recorder import Seen

REQUIRED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("alibabacloud", "create video"): ("model", "input.prompt"),
    ("alibabacloud", "create image task"): ("model", "input.prompt"),
    ("alibabacloud", "create image at once"): ("model", "input.messages"),
    ("bfl", "create image"): ("prompt",),
    ("byteplus", "create image"): ("model", "prompt"),
    ("byteplus", "create video"): ("model", "content"),
    ("cloudflare", "create video"): ("model", "input.prompt"),
    ("cloudflare", "create image"): ("prompt",),
    ("fal", "create image"): ("prompt",),
    ("openai", "create image"): ("model", "prompt"),
    ("openai", "edit image"): ("model", "prompt", "image[]"),
    ("replicate", "create image"): ("input.prompt",),
    ("runway", "create image"): ("model", "promptText", "ratio"),
    ("runway", "create video"): ("model", "promptText", "ratio", "duration"),
    ("runway", "create video of image"): ("model", "promptText", "ratio", "duration", "promptImage"),
}
"""Fields of a body that the SDK's types, or the provider's own schema, demand; a dot leads into an object."""

ADDED_BY_SDK: Mapping[str, frozenset[str]] = {
    # Options of these calls that the SDK fills in by itself, or that the catalog sets otherwise on purpose.
    "bfl": frozenset({"safety_tolerance", "prompt_upsampling"}),
}
"""Fields that may differ: the SDK's own defaults, not ours."""

HEADERS: Mapping[str, tuple[str, ...]] = {
    "alibabacloud": ("authorization", "x-dashscope-async"),
    "bfl": ("x-key",),
    "runway": ("authorization", "x-runway-version"),
}
"""Headers without which the provider does not do what was asked; elsewhere it is the credential alone."""

_SAME_ID = re.compile(r"(?:cgt-)?[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/predictions/)[a-z0-9]{20,}")
_SECRET = re.compile(
    r"sk-(sdk|ours)|r8_(sdk|ours)|key_(sdk|ours)|ark-(sdk|ours)|cf-(sdk|ours)|bfl-(sdk|ours)"
)


@dataclass(frozen=True)
class Line:
    """One operation of one provider."""

    provider: str
    operation: str
    request: str
    differences: tuple[str, ...]
    ours_alone: tuple[str, ...]
    """Fields that only our adapter sends."""


def compare(seen: list[Seen]) -> Iterator[Line]:
    """Every operation that an SDK did and our adapters did too, or should have done."""
    steps = list(dict.fromkeys((each.provider, each.operation) for each in seen if each.player == "sdk"))
    for provider, operation in steps:
        theirs = _principal(seen, "sdk", provider, operation)
        ours = _principal(seen, "adapter", provider, operation, theirs)
        if ours is None and operation == "result":
            # Our adapter reads the result in the same step as the status.
            ours = _principal(seen, "adapter", provider, "poll", theirs)
        yield _line(provider, operation, theirs, ours)


def _principal(
    seen: list[Seen], player: str, provider: str, operation: str, like: Seen | None = None
) -> Seen | None:
    """The request that the step is about: its last one, of the same method and path where there is one."""
    mine = [
        each for each in seen if (each.player, each.provider, each.operation) == (player, provider, operation)
    ]
    if like is not None:
        mine = [each for each in mine if _what(each) == _what(like)] or mine
    return mine[-1] if mine else None


def _line(provider: str, operation: str, theirs: Seen | None, ours: Seen | None) -> Line:
    assert theirs is not None
    request = f"{theirs.method} {_what(theirs)[1]}"
    if ours is None:
        return Line(provider, operation, request, ("our adapter does not do this",), ())
    differences = list(_differences(provider, operation, theirs, ours))
    alone = sorted(set(_leaves(ours.body)) - set(_leaves(theirs.body)))
    return Line(provider, operation, request, tuple(differences), tuple(alone))


def _differences(provider: str, operation: str, theirs: Seen, ours: Seen) -> Iterator[str]:
    for name, one, other in zip(("method", "path"), _what(theirs), _what(ours), strict=True):
        if one != other:
            yield f"{name}: {one} | {other}"
    for header in HEADERS.get(provider, ("authorization",)):
        one, other = (_SECRET.sub("*", each.headers.get(header, "")) for each in (theirs, ours))
        one, other = (value.replace("sdk:key", "*").replace("ours:key", "*") for value in (one, other))
        if one != other:
            yield f"{header}: {one or 'none'} | {other or 'none'}"
    if not 200 <= ours.status < 300:
        yield f"the sandbox answered our adapter {ours.status}"
    there, here = _leaves(theirs.body), _leaves(ours.body)
    for name in REQUIRED.get((provider, operation), ()):
        if not any(leaf == name or leaf.startswith(f"{name}.") for leaf in here):
            yield f"required field {name} is missing"
        if not any(leaf == name or leaf.startswith(f"{name}.") for leaf in there):
            yield f"the SDK sends no {name}"
    for name in sorted(set(there) - set(here)):
        yield f"only the SDK sends {name}"
    for name in sorted(set(there) & set(here) - ADDED_BY_SDK.get(provider, frozenset())):
        if there[name] != here[name]:
            yield f"{name}: {there[name]!r} | {here[name]!r}"


def _what(seen: Seen) -> tuple[str, str]:
    query = "?id={id}" if "id" in seen.query else ""
    return seen.method, _SAME_ID.sub("{id}", seen.path) + query


def _leaves(body: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Every value by its dotted name; what is null counts as left out."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, Mapping):
            found |= _leaves(value, f"{before}{name}.")
        elif value is not None:
            found[before + name] = value
    return found
