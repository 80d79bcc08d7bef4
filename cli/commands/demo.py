"""`babysea demo`: one picture and one video in each of two regions, on a private stack, and what became of them."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from cli import render
from cli.commands.declare import Subparsers, add
from cli.errors import Exit
from cli.supervisor.control import down, run_detached
from cli.supervisor.layout import Layout
from cli.supervisor.options import UpOptions, parse_regions


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the command."""
    demo = add(
        commands,
        everywhere,
        "demo",
        "see everything once, on a private stack",
        "Start a private stack in DIR/demo on free ports, make one picture and one video in each region through the "
        "public REST API, and show for each the providers, the price, the ledger and the trace. All of it is written to "
        "DIR/demo.json, and everything that was started is stopped.",
    )
    demo.add_argument(
        "--regions",
        type=parse_regions,
        default=("us", "eu"),
        metavar="us,eu",
        help="regions (default: us,eu)",
    )
    demo.add_argument("--keep", action="store_true", help="leave the stack running afterwards")
    demo.set_defaults(run=command)


def command(asked: argparse.Namespace) -> int:
    """Starts, shows, stops."""
    from cli.running import find
    from cli.supervisor.files import write_json

    outer = Layout.at(asked.data_dir)
    layout = Layout(outer.root / "demo")
    result_path = outer.root / "demo.json"
    began = time.monotonic()
    _say(asked, f"Starting {' and '.join(asked.regions)} in {layout.root} …")
    with _private_stack(layout, asked.regions, keep=asked.keep, asked=asked) as seconds:
        _say(asked, f"Ready in {seconds:.1f} s.")
        running = find(layout.root)
        result_path.unlink(missing_ok=True)
        regions = {name: _show_region(asked, layout, running, name) for name in asked.regions}
        write_json(result_path, regions)
    total = time.monotonic() - began
    if asked.json:
        render.say_json(regions)
        return Exit.OK
    count = sum(len(region["generations"]) for region in regions.values())
    render.say()
    render.say(render.styled(f"{count} of {count} generations succeeded in {total:.1f} s.", "green"))
    render.say(f"All of it is in {result_path}.")
    if asked.keep:
        render.say(
            f"The stack goes on; use it with --data-dir {layout.root}, end it with `babysea down` and the same."
        )
    return Exit.OK


def _show_region(asked: argparse.Namespace, layout: Layout, running: Any, name: str) -> dict[str, Any]:
    from cli.demo.report import print_one
    from cli.demo.scenario import show_one, tasks
    from cli.rest import Api

    region = running.region(name)
    folder = layout.root / "outputs"
    folder.mkdir(exist_ok=True)
    generations: list[dict[str, Any]] = []
    with Api(region.api, region.api_key) as api:
        before = api.balance()
        for task in tasks(api):
            shown = show_one(running, region, api, task, folder)
            if not asked.json:
                print_one(name, shown)
            generations.append(shown.record)
        after = api.balance()
    return {
        "api": region.api,
        "account_id": region.account_id,
        "balance_before": before,
        "balance_after": after,
        "generations": generations,
    }


@contextmanager
def _private_stack(
    layout: Layout, regions: tuple[str, ...], *, keep: bool, asked: argparse.Namespace
) -> Iterator[float]:
    """A running stack; unless it is to be kept it is stopped, also after a failure or a signal."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    succeeded = False
    try:
        # What an interrupted demo left may have other regions; a stack of ours is cheap to start anew.
        down(layout)
        yield run_detached(layout, UpOptions(regions=regions, free_ports=True)).seconds
        succeeded = True
    finally:
        if not (keep and succeeded):
            _say(asked, "Stopping …")
            down(layout)
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(asked: argparse.Namespace, line: str) -> None:
    if not asked.json:
        render.note(line)
