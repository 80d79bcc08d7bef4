"""How commands join the parser."""

from __future__ import annotations

import argparse
from typing import TypeAlias

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add(
    commands: Subparsers, everywhere: argparse.ArgumentParser, name: str, summary: str, description: str = ""
) -> argparse.ArgumentParser:
    """Adds one command with the options that all commands share; the summary is its line in the list."""
    return commands.add_parser(
        name,
        parents=[everywhere],
        help=summary,
        description=description or summary[0].upper() + summary[1:] + ".",
        allow_abbrev=False,
    )
