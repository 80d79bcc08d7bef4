"""`python -m sandbox --port N`."""

from __future__ import annotations

import argparse
import sys

from .config import SandboxConfig
from .main import PortTakenError, run


def main() -> int:
    """Read the arguments, serve, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Serve the provider sandbox: eight inference providers on one port (see docs/sandbox.md).",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8090, help="port; 0 picks a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--public-url", help="origin to put in file and status URLs instead of the Host header"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="start of every random draw (default: %(default)s)"
    )
    parser.add_argument(
        "--keep-bodies", action="store_true", help="keep request bodies, prompts included, in the request log"
    )
    parser.add_argument(
        "--callbacks-anywhere",
        action="store_true",
        help="report to any address, not only to this machine's loopback ones",
    )
    asked = parser.parse_args()
    config = SandboxConfig(
        public_url=asked.public_url,
        seed=asked.seed,
        keep_bodies=asked.keep_bodies,
        callbacks_anywhere=asked.callbacks_anywhere,
    )
    try:
        run(asked.host, asked.port, config)
    except PortTakenError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
