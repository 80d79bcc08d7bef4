"""`babysea doctor`: looks at everything that could be wrong and says what to do about it."""

from __future__ import annotations

import argparse

from cli import render
from cli.commands.declare import Subparsers, add
from cli.errors import Exit
from cli.supervisor.layout import Layout


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the command."""
    add(
        commands,
        everywhere,
        "doctor",
        "check this machine and the running stack",
        "Check Python, the installed parts, the data folder, ports, processes, databases, servers and gateway. "
        "Exit code 1 when something needs attention.",
    ).set_defaults(run=command)


def command(asked: argparse.Namespace) -> int:
    """Checks and prints a line each."""
    from cli.checks import examine

    checks = examine(Layout.at(asked.data_dir))
    healthy = all(check.ok for check in checks)
    if asked.json:
        render.say_json({"ok": healthy, "checks": [check.as_json() for check in checks]})
        return Exit.OK if healthy else Exit.FAILED
    for check in checks:
        word = render.styled("ok  ", "green") if check.ok else render.styled("fail", "red")
        render.say(f"{word}  {check.name}: {check.found}")
        if check.advice:
            render.say(f"      → {check.advice}")
    return Exit.OK if healthy else Exit.FAILED
