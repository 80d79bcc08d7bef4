"""Strict request schemas: the kinds of field that provider models take, and how one is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

_USUAL_SIDE = 512


@dataclass(frozen=True)
class Violation:
    """One thing wrong with a request body."""

    path: tuple[str, ...]
    """Where, from the top of the body, such as ("input", "num_outputs")."""

    kind: str
    """What sort of mistake: missing, extra, type, range or choice."""

    message: str
    value: object = None


class Field(Protocol):
    """One input field of a model."""

    @property
    def required(self) -> bool:
        """Whether a request must carry it."""
        ...

    def problem(self, value: object) -> tuple[str, str] | None:
        """Return (kind, message) when `value` is not acceptable."""
        ...

    def describe(self) -> dict[str, object]:
        """Return the field as JSON Schema."""
        ...


@runtime_checkable
class Nested(Protocol):
    """A field that holds other fields, and names the inner one that is wrong."""

    def inside(self, value: object, path: tuple[str, ...]) -> list[Violation]:
        """Return what is wrong within `value`, which passed `problem`."""
        ...


@dataclass(frozen=True)
class Text:
    """A string."""

    required: bool = False
    most: int | None = None
    """Longest length in characters."""

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse anything but a string that is not too long."""
        if not isinstance(value, str):
            return ("type", "Expected a string")
        if self.most is not None and len(value) > self.most:
            return ("range", f"Must be at most {self.most} characters long")
        return None

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {"type": "string"} if self.most is None else {"type": "string", "maxLength": self.most}


@dataclass(frozen=True)
class Link:
    """A file given by an http(s) URL or a data URI."""

    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse strings that name no file."""
        if isinstance(value, str) and value.startswith(("http://", "https://", "data:")):
            return None
        return ("type", "Expected an http(s) URL or a data URI")

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {"type": "string", "format": "uri"}


@dataclass(frozen=True)
class Links:
    """A list of files."""

    most: int
    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse lists that are too long or hold something else."""
        if not isinstance(value, list) or any(Link().problem(each) for each in value):
            return ("type", "Expected a list of http(s) URLs or data URIs")
        return ("range", f"Must hold at most {self.most} items") if len(value) > self.most else None

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {"type": "array", "items": Link().describe(), "maxItems": self.most}


@dataclass(frozen=True)
class Texts:
    """A list of strings."""

    most: int
    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse lists that are too long or hold something else."""
        if not isinstance(value, list) or any(Text().problem(each) for each in value):
            return ("type", "Expected a list of strings")
        return ("range", f"Must hold at most {self.most} items") if len(value) > self.most else None

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {"type": "array", "items": Text().describe(), "maxItems": self.most}


@dataclass(frozen=True)
class Flag:
    """A boolean."""

    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse anything but true and false."""
        return None if isinstance(value, bool) else ("type", "Expected a boolean")

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class Whole:
    """An integer between two bounds, both included."""

    least: int
    most: int
    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse other types (true and false are no numbers) and values out of range."""
        if not isinstance(value, int) or isinstance(value, bool):
            return ("type", "Expected an integer")
        if not self.least <= value <= self.most:
            return ("range", f"Must be between {self.least} and {self.most}")
        return None

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class Number:
    """A number between two bounds, both included."""

    least: float
    most: float
    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse other types and values out of range."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return ("type", "Expected a number")
        if not self.least <= value <= self.most:
            return ("range", f"Must be between {self.least:g} and {self.most:g}")
        return None

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {"type": "number", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class Choice:
    """One of a few strings or integers; "5" and 5 are not the same."""

    options: tuple[str, ...] | tuple[int, ...]
    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse what is not listed."""
        if not isinstance(value, bool) and isinstance(value, type(self.options[0])) and value in self.options:
            return None
        return ("choice", "Must be one of " + ", ".join(repr(option) for option in self.options))

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        kind = "integer" if isinstance(self.options[0], int) else "string"
        return {"type": kind, "enum": list(self.options)}


@dataclass(frozen=True)
class Size:
    """A named picture size, or {"width": …, "height": …} in pixels, of which either may be left out."""

    named: tuple[str, ...]
    least: int = 64
    most: int = 4096
    required: bool = False
    least_pixels: int = 0
    most_pixels: int | None = None

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse unknown names, other keys, and sides out of range."""
        if isinstance(value, str):
            return Choice(self.named).problem(value)
        if not isinstance(value, dict) or not set(value) <= {"width", "height"}:
            return ("type", "Expected a size name or an object with width and height")
        side = Whole(self.least, self.most)
        problem = next(filter(None, map(side.problem, value.values())), None)
        return problem or self._unfit(*pixels(value))

    def _unfit(self, width: int, height: int) -> tuple[str, str] | None:
        if width * height < self.least_pixels:
            return ("range", f"Must have at least {self.least_pixels} pixels")
        if self.most_pixels is not None and width * height > self.most_pixels:
            return ("range", f"Must have at most {self.most_pixels} pixels")
        return None

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        side = Whole(self.least, self.most).describe()
        pair = {"type": "object", "properties": {"width": side, "height": side}}
        return {"anyOf": [{"type": "string", "enum": list(self.named)}, pair]}


def pixels(size: Mapping[str, int]) -> tuple[int, int]:
    """Return width and height of a size in pixels."""
    return size.get("width", _USUAL_SIDE), size.get("height", _USUAL_SIDE)


def check(
    fields: Mapping[str, Field], given: Mapping[str, object], root: str | tuple[str, ...]
) -> list[Violation]:
    """Compare `given` with `fields`; every violation's path starts at `root`."""
    top = (root,) if isinstance(root, str) else root
    missing = [
        Violation((*top, name), "missing", "Field required")
        for name, field in fields.items()
        if field.required and name not in given
    ]
    wrong: list[Violation] = []
    for name, value in given.items():
        field = fields.get(name)
        if field is None:
            wrong.append(
                Violation((*top, name), "extra", f"Additional property {name} is not allowed", value)
            )
        elif problem := field.problem(value):
            wrong.append(Violation((*top, name), *problem, value))
        elif isinstance(field, Nested):
            wrong += field.inside(value, (*top, name))
    return missing + wrong
