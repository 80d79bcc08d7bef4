"""`babysea trace GENERATION_ID`: where the time of a generation went."""

from __future__ import annotations

import argparse

from cli import render
from cli.commands.declare import Subparsers, add
from cli.errors import CliError, Exit
from cli.supervisor.layout import Layout


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the command."""
    trace = add(
        commands,
        everywhere,
        "trace",
        "show where a generation's time went",
        "Show the trace of one generation as a tree with durations, from the POST to settlement. It reads the files "
        "that the embedded mode keeps, so it also works when nothing runs.",
    )
    trace.add_argument("generation_id", metavar="GENERATION_ID", help="id that the create answered")
    trace.set_defaults(run=command)


def command(asked: argparse.Namespace) -> int:
    """Finds the trace and draws it."""
    from cli.trace_tree import draw, find_trace

    layout = Layout.at(asked.data_dir)
    found = find_trace(layout.traces, asked.generation_id.strip().lower())
    if found is None:
        raise CliError(
            f"No trace of {asked.generation_id} is kept in {layout.traces}; check the id and --data-dir, "
            "and note that only sampled requests leave traces."
        )
    if asked.json:
        render.say_json(found.as_json())
    else:
        for line in draw(found):
            render.say(line)
    return Exit.OK
