"""Reads a TOML table key by key, so that whatever is wrong is named with its file and key."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation

from kit.money import micros
from server.catalog.errors import CatalogError

_MONEY = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6})?")


class Table:
    """One table of a catalog file. Call `finish` at the end: a key that nobody read is a typing mistake."""

    def __init__(self, file: str, key: str, content: Mapping[str, object]) -> None:
        self.file = file
        self.key = key
        self._content = content
        self._unread = set(content)

    def error(self, name: str, problem: str) -> CatalogError:
        """The error for a key of this table."""
        return CatalogError(self.file, self._path(name), problem)

    def has(self, name: str) -> bool:
        """Whether the table has that key."""
        return name in self._content

    def names(self) -> tuple[str, ...]:
        """Every key, in the order of the file."""
        return tuple(self._content)

    def raw(self, name: str) -> object:
        """The value as TOML read it; refused when absent."""
        if name not in self._content:
            raise self.error(name, "is missing")
        self._unread.discard(name)
        return self._content[name]

    def text(self, name: str, *, empty: bool = False) -> str:
        """A string; an empty one is refused unless `empty` allows it."""
        value = self.raw(name)
        if not isinstance(value, str) or not (value.strip() or empty):
            raise self.error(name, "must be a text" + ("" if empty else " that is not empty"))
        return value

    def one_of(self, name: str, allowed: Collection[str]) -> str:
        """A string out of a few."""
        value = self.raw(name)
        if not isinstance(value, str) or value not in allowed:
            raise self.error(name, f"must be one of {', '.join(repr(word) for word in allowed)}")
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        """A boolean."""
        if default is not None and not self.has(name):
            return default
        value = self.raw(name)
        if not isinstance(value, bool):
            raise self.error(name, "must be true or false")
        return value

    def whole(self, name: str, least: int, most: int = 2**53, default: int | None = None) -> int:
        """A whole number between two bounds, both included."""
        if default is not None and not self.has(name):
            return default
        value = self.raw(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            bounds = f"of at least {least}" if most == 2**53 else f"from {least} to {most}"
            raise self.error(name, f"must be a whole number {bounds}")
        return value

    def number(self, name: str) -> float:
        """A finite number."""
        value = self.raw(name)
        if not _is_number(value):
            raise self.error(name, "must be a number")
        return float(value)  # type: ignore[arg-type]

    def money(self, name: str, *, zero: bool = False) -> int:
        """A price written as a text such as "0.005", in micro-dollars; exact to the micro-dollar."""
        value = self.raw(name)
        if not isinstance(value, str) or not _MONEY.fullmatch(value):
            raise self.error(name, 'must be dollars as a text, for example "0.005"')
        try:
            amount = micros(Decimal(value))
        except InvalidOperation as error:
            raise self.error(name, 'must be dollars as a text, for example "0.005"') from error
        if amount == 0 and not zero:
            raise self.error(name, "must be more than zero")
        return amount

    def moment(self, name: str) -> datetime:
        """A date or a date and time; UTC unless it names another offset."""
        value = self.raw(name)
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value
        if isinstance(value, date):
            return datetime.combine(value, time(), UTC)
        raise self.error(name, "must be a date, for example 2026-11-01")

    def texts(
        self, name: str, *, default: tuple[str, ...] | None = None, empty: bool = False
    ) -> tuple[str, ...]:
        """A list of different strings, at least one unless it may be `empty`."""
        if default is not None and not self.has(name):
            return default
        value = self.raw(name)
        if (
            not isinstance(value, list)
            or not all(isinstance(each, str) for each in value)
            or not (value or empty)
        ):
            raise self.error(name, "must be a list of texts" + ("" if empty else " that is not empty"))
        if len(set(value)) != len(value):
            raise self.error(name, "names something twice")
        return tuple(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """A list of different positive numbers, ascending, at least one."""
        value = self.raw(name)
        if not isinstance(value, list) or not value or not all(_is_number(each) for each in value):
            raise self.error(name, "must be a list of numbers that is not empty")
        found = tuple(float(each) for each in value)
        if list(found) != sorted(set(found)) or found[0] <= 0:
            raise self.error(name, "must be positive numbers in ascending order")
        return found

    def table(self, name: str) -> Table:
        """A table below this one; an empty one when absent."""
        value = self.raw(name) if self.has(name) else {}
        if not isinstance(value, dict):
            raise self.error(name, "must be a table")
        return Table(self.file, self._path(name), value)

    def tables(self, name: str) -> tuple[Table, ...]:
        """A list of tables; an empty one when absent."""
        value = self.raw(name) if self.has(name) else []
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise self.error(name, "must be a list of tables")
        return tuple(
            Table(self.file, f"{self._path(name)}[{position}]", each) for position, each in enumerate(value)
        )

    def finish(self) -> None:
        """Refuses keys that nobody read."""
        if self._unread:
            raise self.error(min(self._unread), "is not a key that this file may have")

    def _path(self, name: str) -> str:
        return f"{self.key}.{name}" if self.key else name


def _is_number(value: object) -> bool:
    # Comparing with itself and with the bounds leaves out nan and inf, which TOML can write.
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e15 < value < 1e15
