"""Which native parameters the rules of a provider's map set, and when two of them would set the same one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from server.catalog.table import Table
from server.catalog.types import FieldMap


def refuse_doubles(table: Table, rules: Iterable[FieldMap], constants: Mapping[str, object]) -> None:
    """Refuses a native parameter that is said twice, or both as a whole and in parts."""
    seen = set(constants)
    for rule in rules:
        for name in sorted(set(names_of(rule))):
            if any(_clash(name, other) for other in seen):
                raise table.error("fields", f"say the native parameter {name!r} twice")
        seen |= set(names_of(rule))


def names_of(rule: FieldMap) -> Iterator[str]:
    """Every native parameter that a rule can set, dotted where it is inside of another; none that code says."""
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
