"""`babysea up`: runs all regions on this machine."""

from __future__ import annotations

import argparse
import json
import os
import traceback

from cli import render
from cli.commands.declare import Subparsers, add
from cli.errors import Exit, explain
from cli.supervisor.control import Started, run, run_detached
from cli.supervisor.files import read_json
from cli.supervisor.layout import REGIONS, Layout
from cli.supervisor.options import (
    UpOptions,
    parse_count,
    parse_port,
    parse_ports,
    parse_regions,
    parse_servers,
)

_DESCRIPTION = """\
Run every region on this machine: a PostgreSQL, a server and a worker for each, one gateway and one provider sandbox
for all. Everything lies in the data folder and is there again at the next start. In the foreground Ctrl-C stops it;
with --detach `babysea down` does. How to reach it stands in ready.json (mode 0600) in the data folder."""


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the command."""
    up = add(commands, everywhere, "up", "run all regions on this machine", _DESCRIPTION)
    up.add_argument(
        "--detach", action="store_true", help="return when everything answers, and leave it running"
    )
    up.add_argument(
        "--regions",
        type=parse_regions,
        default=REGIONS,
        metavar="us,eu,jp",
        help="regions to run (default: all three)",
    )
    up.add_argument(
        "--ports",
        type=parse_ports,
        default=({}, False),
        metavar="us=8080,eu=8081",
        help="API port per region; auto takes free ones where others are taken (default: 8080, 8081, 8082)",
    )
    up.add_argument(
        "--servers",
        type=parse_servers,
        default=1,
        metavar="N",
        help="server processes per region, each on a port of its own (default: 1)",
    )
    up.add_argument(
        "--workers",
        type=parse_count,
        default=1,
        metavar="N",
        help="worker processes per region (default: 1; 0 admits without executing)",
    )
    up.add_argument(
        "--sandbox-port",
        type=parse_port,
        metavar="PORT",
        help="port of the provider sandbox (default: a free one)",
    )
    up.add_argument("--report-fd", type=int, help=argparse.SUPPRESS)
    up.set_defaults(run=command)


def command(asked: argparse.Namespace) -> int:
    """Runs the stack here, or starts it in the background."""
    layout = Layout.at(asked.data_dir)
    ports, free = asked.ports
    options = UpOptions(asked.regions, ports, free, asked.workers, asked.sandbox_port, asked.servers)
    if asked.report_fd is not None:
        return _supervise_and_report(layout, options, asked.report_fd)
    render.note(f"Starting {', '.join(options.regions)} in {layout.root} …")
    if asked.detach:
        started = run_detached(layout, options)
        _show(layout, started, how_to_stop="`babysea down` stops everything.", as_json=asked.json)
        return Exit.OK

    def on_ready(started: Started) -> None:
        _show(layout, started, how_to_stop="Ctrl-C stops everything.", as_json=asked.json)

    run(layout, options, on_ready, render.note)
    return Exit.OK


def _supervise_and_report(layout: Layout, options: UpOptions, descriptor: int) -> int:
    """The background half of --detach: tells its parent once how the start ended."""
    report = os.fdopen(descriptor, "w")

    def tell_parent(answer: dict[str, object]) -> None:
        if not report.closed:
            with report:
                report.write(json.dumps(answer) + "\n")

    def on_ready(started: Started) -> None:
        tell_parent({"outcome": started.outcome, "seconds": started.seconds})

    try:
        run(layout, options, on_ready, render.note)
    except Exception as error:
        failure = explain(error)
        if failure is not error:
            # The frames say where it happened; the text of the exception might hold a password.
            traceback.print_tb(error.__traceback__)
        tell_parent({"failed": failure.message, "code": int(failure.code)})
        raise
    return Exit.OK


def _show(layout: Layout, started: Started, how_to_stop: str, *, as_json: bool) -> None:
    facts = read_json(layout.ready)
    regions = facts.get("regions")
    known = regions if isinstance(regions, dict) else {}
    if as_json:
        # Without the keys and passwords: those are in ready.json, whose mode keeps them private.
        places = {
            name: {key: entry[key] for key in ("grpc", "api", "account_id")} for name, entry in known.items()
        }
        render.say_json(
            {
                "outcome": started.outcome,
                "seconds": round(started.seconds, 2),
                "ready": str(layout.ready),
                "gateway": facts.get("gateway"),
                "sandbox": facts.get("sandbox"),
                "regions": places,
            }
        )
        return
    rows = [
        (name, entry["api"], f"gRPC {entry['grpc']}", f"account {entry['account_id']}")
        for name, entry in known.items()
    ]
    rows.append(("sandbox", str(facts.get("sandbox", "")), "", ""))
    for line in render.table(rows, indent="  "):
        render.say(line)
    if started.outcome == "already":
        render.say("It runs already and answers; nothing was changed.")
    else:
        render.say(f"Ready in {started.seconds:.1f} s. {how_to_stop}")
    render.say(f"Keys and addresses: {layout.ready}")
