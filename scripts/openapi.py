"""Writes docs/openapi.json from the gateway's routes.

Usage: openapi.py write | check
`check` fails when the committed file is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from gateway.app import create_routes
from gateway.limits import FailureLimit
from gateway.openapi import document
from kit.clock import SystemClock

FILE = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"


def rendered() -> bytes:
    """The description as it is committed: indented, so that changes can be read."""
    routes = create_routes(FailureLimit(SystemClock()))
    return orjson.dumps(orjson.loads(document(routes)), option=orjson.OPT_INDENT_2) + b"\n"


def main(arguments: list[str]) -> int:
    """Runs the command; returns the exit code."""
    if arguments == ["write"]:
        FILE.write_bytes(rendered())
        return 0
    if arguments == ["check"]:
        if FILE.exists() and FILE.read_bytes() == rendered():
            return 0
        print(
            "docs/openapi.json is stale: run `python scripts/openapi.py write` and commit it.",
            file=sys.stderr,
        )
        return 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
