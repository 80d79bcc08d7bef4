"""The `babysea` command: parses, hands over to a command's module, and turns every failure into one sentence."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

# Before gRPC is imported anywhere: as root PostgreSQL's programs are started by fork, and gRPC's fork handlers crash such
# children now and then.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

from cli import render
from cli.commands import (
    account,
    catalog,
    demo,
    doctor,
    down,
    generate,
    key,
    ledger,
    programs,
    trace,
    up,
)
from cli.commands import credits as credits_
from cli.errors import Exit, explain

_EPILOG = """\
start here:
  babysea up                      run us, eu and jp on this machine; Ctrl-C stops them
  babysea generate bfl/flux-schnell "a lighthouse in fog"
  babysea trace GENERATION_ID     where its time went
  babysea demo                    see everything once, without touching a running stack

exit codes: 0 done, 1 failed, 2 wrong usage, 3 not running or unreachable, 4 refused by the service
"""
_COMMANDS = (up, down, demo, generate, trace, account, key, credits_, ledger, catalog, doctor, programs)


def parser() -> argparse.ArgumentParser:
    """The whole command line; nothing beyond the standard library is imported for it."""
    root = argparse.ArgumentParser(
        prog="babysea",
        description="BabySea: an execution control plane for generative media, with a region in every box.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_globals(root, inherited=False)
    everywhere = argparse.ArgumentParser(add_help=False)
    _add_globals(everywhere, inherited=True)
    commands = root.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for module in _COMMANDS:
        module.register(commands, everywhere)
    return root


def _add_globals(target: argparse.ArgumentParser, *, inherited: bool) -> None:
    """Adds the options that every command takes, before or after its name."""

    def default(value: object) -> object:
        # A sub-command must not overwrite with its default what stood before its name.
        return argparse.SUPPRESS if inherited else value

    folder = os.environ.get("BABYSEA_DATA_DIR") or ".babysea"
    group = target.add_argument_group("options of every command")
    group.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        default=default(Path(folder)),
        help="folder of the embedded stack (default: .babysea, or BABYSEA_DATA_DIR)",
    )
    group.add_argument(
        "--json", action="store_true", default=default(False), help="print the result as JSON, for programs"
    )
    group.add_argument(
        "--debug", action="store_true", default=default(False), help="show the traceback of a failure"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; `babysea` exits with it."""
    asked = parser().parse_args(arguments)
    try:
        code: int = asked.run(asked)
    except KeyboardInterrupt:
        render.note("Interrupted.")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has enough; the interpreter must not complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception as error:  # noqa: BLE001 - the last place; what it was is told in one sentence
        if asked.debug:
            traceback.print_exc()
        failure = explain(error)
        render.note(f"babysea: {failure.message}")
        return failure.code
    return code


if __name__ == "__main__":
    sys.exit(main())
