"""Fields of more shape than one value: objects, lists, alternatives, and sizes in one word."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .schema import Field, Nested, Text, Violation, check

_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
"""How PNG, JPEG and WebP begin."""


@dataclass(frozen=True)
class Record:
    """An object with fields of its own."""

    fields: Mapping[str, Field]
    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse anything but an object."""
        return None if isinstance(value, dict) else ("type", "Expected an object")

    def inside(self, value: object, path: tuple[str, ...]) -> list[Violation]:
        """Return what is wrong with the fields."""
        return check(self.fields, value, path) if isinstance(value, dict) else []

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {
            "type": "object",
            "properties": {name: field.describe() for name, field in self.fields.items()},
            "required": [name for name, field in self.fields.items() if field.required],
        }


@dataclass(frozen=True)
class ListOf:
    """A list of `least` to `most` items."""

    item: Field
    least: int
    most: int
    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse anything but a list of the right length."""
        if not isinstance(value, list):
            return ("type", "Expected a list")
        if not self.least <= len(value) <= self.most:
            return ("range", f"Must hold {self.least} to {self.most} items")
        return None

    def inside(self, value: object, path: tuple[str, ...]) -> list[Violation]:
        """Return what is wrong with the items."""
        found: list[Violation] = []
        for number, each in enumerate(value if isinstance(value, list) else []):
            here = (*path, str(number))
            if problem := self.item.problem(each):
                found.append(Violation(here, *problem, each))
            elif isinstance(self.item, Nested):
                found += self.item.inside(each, here)
        return found

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {
            "type": "array",
            "items": self.item.describe(),
            "minItems": self.least,
            "maxItems": self.most,
        }


@dataclass(frozen=True)
class Either:
    """One of several kinds of field; the first whose outer form fits decides."""

    kinds: tuple[Field, ...]
    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse what is none of the kinds."""
        problems = [kind.problem(value) for kind in self.kinds]
        return None if None in problems else problems[0]

    def inside(self, value: object, path: tuple[str, ...]) -> list[Violation]:
        """Return what is wrong within the kind that fits."""
        for kind in self.kinds:
            if kind.problem(value) is None:
                return kind.inside(value, path) if isinstance(kind, Nested) else []
        return []

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {"anyOf": [kind.describe() for kind in self.kinds]}


@dataclass(frozen=True)
class OneKey:
    """An object with exactly one of a few keys, such as {"text": …} or {"image": …}."""

    kinds: Mapping[str, Field]
    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse what is no such object."""
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in self.kinds:
            return None
        return ("type", "Expected an object with one of " + ", ".join(self.kinds))

    def inside(self, value: object, path: tuple[str, ...]) -> list[Violation]:
        """Return what is wrong with the one value."""
        return check(self.kinds, value, path) if isinstance(value, dict) else []

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return Record(self.kinds).describe() | {"minProperties": 1, "maxProperties": 1}


@dataclass(frozen=True)
class Tagged:
    """An object whose key `tag` says which fields it has."""

    tag: str
    kinds: Mapping[str, Mapping[str, Field]]
    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse objects of no known kind."""
        if isinstance(value, dict) and value.get(self.tag) in self.kinds:
            return None
        return ("choice", f"Expected an object whose {self.tag} is one of " + ", ".join(self.kinds))

    def inside(self, value: object, path: tuple[str, ...]) -> list[Violation]:
        """Return what is wrong with the fields of that kind."""
        if not isinstance(value, dict):
            return []
        return check({self.tag: Text(), **self.kinds[value[self.tag]]}, value, path)

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {"anyOf": [Record(fields).describe() for fields in self.kinds.values()]}


@dataclass(frozen=True)
class Steps:
    """An integer between two bounds that is a multiple of `step`."""

    least: int
    most: int
    step: int
    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse other types, values out of range and values between the steps."""
        if not isinstance(value, int) or isinstance(value, bool):
            return ("type", "Expected an integer")
        if not self.least <= value <= self.most:
            return ("range", f"Must be between {self.least} and {self.most}")
        return ("range", f"Must be a multiple of {self.step}") if value % self.step else None

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most, "multipleOf": self.step}


@dataclass(frozen=True)
class Pixels:
    """A size in one word, such as "1024x1024", or one of a few names."""

    cross: str
    least: int
    most: int
    """Bounds of a side, in pixels."""

    named: tuple[str, ...] = ()
    step: int = 1
    least_pixels: int = 0
    most_pixels: int | None = None
    steepest: float | None = None
    """Greatest ratio of the longer side to the shorter one."""

    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse other types and sizes that cannot be made."""
        if not isinstance(value, str):
            return ("type", "Expected a string")
        if value in self.named:
            return None
        sides = re.fullmatch(rf"(\d{{1,5}}){re.escape(self.cross)}(\d{{1,5}})", value)
        if sides is None:
            return ("choice", f"Expected a size such as 1024{self.cross}1024")
        return self._unfit(int(sides[1]), int(sides[2]))

    def _unfit(self, width: int, height: int) -> tuple[str, str] | None:
        shorter, longer = sorted((width, height))
        if shorter < self.least or longer > self.most:
            return ("range", f"Sides must be between {self.least} and {self.most} pixels")
        if width % self.step or height % self.step:
            return ("range", f"Sides must be multiples of {self.step}")
        if width * height < self.least_pixels:
            return ("range", f"Must have at least {self.least_pixels} pixels")
        if self.most_pixels is not None and width * height > self.most_pixels:
            return ("range", f"Must have at most {self.most_pixels} pixels")
        if self.steepest is not None and longer > shorter * self.steepest:
            return ("range", f"The longer side must be at most {self.steepest:g} times the shorter one")
        return None

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {"type": "string"}


@dataclass(frozen=True)
class InBase64:
    """A picture's own bytes in bare base64: no URL, and no data URI either."""

    required: bool = False

    def problem(self, value: object) -> tuple[str, str] | None:
        """Refuse other types, what is no base64, and bytes that do not begin as a picture does."""
        if not isinstance(value, str):
            return ("type", "Expected a string")
        try:
            content = base64.b64decode(value, validate=True)
        except ValueError:
            return ("type", "Expected base64")
        return None if content.startswith(_PICTURES) else ("type", "Expected a picture in base64")

    def describe(self) -> dict[str, object]:
        """Return the JSON Schema."""
        return {"type": "string", "contentEncoding": "base64"}


def without_nulls(value: object) -> object:
    """Return the JSON value without the keys that are null, for providers that take null as absent."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value
