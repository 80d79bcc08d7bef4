"""`babysea down`: stops what `up` started."""

from __future__ import annotations

import argparse

from cli import render
from cli.commands.declare import Subparsers, add
from cli.errors import Exit
from cli.supervisor.control import down
from cli.supervisor.layout import Layout


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the command."""
    add(
        commands,
        everywhere,
        "down",
        "stop what `up` started; data stays",
        "Stop everything that `babysea up` started in the data folder, also after a crash. Data stays. "
        "Fine to run when nothing runs.",
    ).set_defaults(run=command)


def command(asked: argparse.Namespace) -> int:
    """Stops the stack."""
    layout = Layout.at(asked.data_dir)
    stopped = down(layout)
    if asked.json:
        render.say_json({"stopped": stopped, "data_dir": str(layout.root)})
    else:
        render.say("Stopped." if stopped else f"Nothing was running in {layout.root}.")
    return Exit.OK
