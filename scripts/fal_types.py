"""Keeps the facts of Fal's request and result types that the sandbox is compared with.

Usage: fal_types.py write | check ENDPOINTS_D_TS

ENDPOINTS_D_TS is `src/types/endpoints.d.ts` of an unpacked @fal-ai/client, Fal's official SDK for JavaScript, which is made
from Fal's own OpenAPI. What is kept are facts in a form of our own: of each path that the sandbox has, and the SDK too, the
names of the fields, their kinds, which are required, and their defaults. `check` fails when the SDK says something else.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sandbox.models import MODELS

FACTS = Path(__file__).resolve().parent.parent / "tests" / "unit" / "sandbox" / "fal_types.json"
_PACKAGE = "@fal-ai/client"
_TOKEN = re.compile(r'/\*\*.*?\*/|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|[A-Za-z_]\w*|\S', re.DOTALL)
_DECLARED = re.compile(r"^export type (\w+) = ", re.MULTILINE)
_DEFAULT = re.compile(r"Default value: `(.*?)`\s*\*/", re.DOTALL)
_SIMPLE = {"string": "text", "boolean": "flag", "number": "number", "unknown": "unknown", "any": "unknown"}

Kind = str | dict[str, object]
"""text, flag, number, link, file or unknown; or one of {"choice": […]}, {"list": kind}, {"any": [kinds]}, {"record": fields}."""


class Types:
    """The declarations of one file, read when they are asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._places = {found[1]: found.end() for found in _DECLARED.finditer(text)}

    def fields(self, name: str) -> dict[str, dict[str, object]]:
        """The fields of an object type, followed through its other names.

        Raises:
            ValueError: it is no object.
        """
        kind = self._declared(name)
        fields = kind.get("record") if isinstance(kind, dict) else None
        if not isinstance(fields, dict):
            raise ValueError(f"{name} is no object with fields")
        return fields

    def endpoints(self) -> dict[str, tuple[str, str]]:
        """The names of the types of input and output by path."""
        start = self._places["EndpointTypeMap"]
        entry = re.compile(r'"([^"]+)": \{\s*input: (\w+);\s*output: (\w+);\s*\}')
        return {found[1]: (found[2], found[3]) for found in entry.finditer(self._text, start)}

    def _declared(self, name: str) -> Kind:
        return self._kind(_Tokens(_TOKEN.finditer(self._text, self._places[name])))

    def _kind(self, tokens: _Tokens) -> Kind:
        tokens.skip("|")
        kinds, words, is_link = [], [], False
        while True:
            if tokens.next.startswith('"'):
                words.append(json.loads(tokens.take()))
            elif tokens.next == "Blob":
                # The SDK uploads such a value and sends its URL.
                is_link = bool(tokens.take())
            else:
                kinds.append(self._part(tokens))
            if not tokens.skip("|"):
                break
        if is_link:
            return "link"
        if words:
            kinds.append({"choice": sorted(words)})
        return kinds[0] if len(kinds) == 1 else {"any": kinds}

    def _part(self, tokens: _Tokens) -> Kind:
        name = tokens.take()
        if name == "{":
            return {"record": dict(self._members(tokens))}
        if name == "Array":
            tokens.skip("<")
            item = self._kind(tokens)
            tokens.skip(">")
            return {"list": item}
        if name in _SIMPLE:
            return _SIMPLE[name]
        if name not in self._places:
            raise ValueError(f"{name} is no type that is known here")
        return self._declared(name)

    def _members(self, tokens: _Tokens) -> Iterator[tuple[str, dict[str, object]]]:
        while not tokens.skip("}"):
            comment = tokens.take() if tokens.next.startswith("/**") else ""
            name = tokens.take()
            required = not tokens.skip("?")
            tokens.skip(":")
            fact: dict[str, object] = {"kind": self._kind(tokens)}
            tokens.skip(";")
            if required:
                fact["required"] = True
            if default := _DEFAULT.search(comment):
                fact["default"] = _value(default[1])
            yield name, fact


class _Tokens:
    def __init__(self, found: Iterator[re.Match[str]]) -> None:
        self._found = found
        self.next = next(found)[0]

    def take(self) -> str:
        token = self.next
        match = next(self._found, None)
        self.next = "" if match is None else match[0]
        return token

    def skip(self, token: str) -> bool:
        return bool(self.next == token and self.take())


def facts(source: Path, paths: Iterable[str]) -> str:
    """The facts of those of the paths that the SDK has, as JSON with one field a line."""
    types = Types(source.read_text("utf-8"))
    package = json.loads((source.parents[2] / "package.json").read_text("utf-8"))
    if package["name"] != _PACKAGE:
        raise ValueError(f"this is {package['name']}, not {_PACKAGE}")
    known = types.endpoints()
    entries = []
    for path in sorted(set(paths) & set(known)):
        given, made = (types.fields(name) for name in known[path])
        results = {name: fact | {"kind": _outline(fact["kind"])} for name, fact in made.items()}
        entries.append(f'{json.dumps(path)}: {{"input": {_lines(given)}, "output": {_lines(results)}}}')
    head = f'{{\n"package": {json.dumps(_PACKAGE)},\n"version": {json.dumps(package["version"])},\n"endpoints": {{\n'
    return head + ",\n".join(entries) + "\n}\n}\n"


def _outline(kind: object) -> object:
    """The kind of a result, with its files as such: a file is what has a URL."""
    if isinstance(kind, dict) and "list" in kind:
        return {"list": _outline(kind["list"])}
    if isinstance(kind, dict) and isinstance(fields := kind.get("record"), dict) and "url" in fields:
        return "file"
    return kind


def _lines(fields: Mapping[str, object]) -> str:
    lines = (
        f"  {json.dumps(name)}: {json.dumps(fact, sort_keys=True)}" for name, fact in sorted(fields.items())
    )
    return "{\n" + ",\n".join(lines) + "\n}"


def _value(written: str) -> object:
    try:
        return json.loads(written)
    except ValueError:
        return written


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("action", choices=("write", "check"))
    arguments.add_argument("source", type=Path, metavar="ENDPOINTS_D_TS")
    asked = arguments.parse_args()
    made = facts(asked.source, (spec.id for spec in MODELS if spec.provider == "fal"))
    if asked.action == "write":
        FACTS.write_text(made, "utf-8")
    elif FACTS.read_text("utf-8") != made:
        print(
            "The SDK's types are not those of the file any more: `fal_types.py write` them and read the difference."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
