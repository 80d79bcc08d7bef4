"""Finds out when two rules of a provider's map would set the same native parameter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from server.catalog.table import Table
from server.catalog.types import FieldMap


def refuse_doubles(table: Table, rules: Iterable[FieldMap], constants: Mapping[str, object]) -> None:
    """Refuses a native parameter that is said twice, or both as a whole and in parts."""
    seen = set(constants)
    for rule in rules:
        for name in sorted(set(_names(rule))):
            if any(_clash(name, other) for other in seen):
                raise table.error("fields", f"say the native parameter {name!r} twice")
        seen |= set(_names(rule))


def _names(rule: FieldMap) -> Iterator[str]:
    if not rule.to or rule.to.startswith("@"):
        return
    if rule.to != ".":
        yield rule.to
        return
    for word in rule.values.values():
        if isinstance(word, Mapping):
            yield from word


def _clash(name: str, other: str) -> bool:
    return name == other or name.startswith(f"{other}.") or other.startswith(f"{name}.")
