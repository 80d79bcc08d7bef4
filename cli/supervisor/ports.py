"""Loopback ports: which are free, and which one a program keeps from start to start."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

from cli.errors import CliError, Exit

HOST = "127.0.0.1"
# Below the range of outgoing connections, so that a remembered port stays free; apart from the databases' range.
_RANGE = range(10_000, 20_000)
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on a loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do it: closed connections of the last run that still linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except (OSError, OverflowError):
            return False
    return True


def choose(remembered: int | None, used: set[int]) -> int:
    """The remembered port if it is free, else a free one; it joins `used`.

    Raises:
        CliError: no port is free.
    """
    candidates: Iterable[int] = random.sample(_RANGE, _TRIES)
    if remembered is not None:
        candidates = [remembered, *candidates]
    for port in candidates:
        if port not in used and is_free(port):
            used.add(port)
            return port
    raise CliError(f"No free port was found on {HOST}; end some programs and start again.")


def claim(port: int, flag: str, used: set[int]) -> int:
    """The port that a person asked for; it joins `used`.

    Raises:
        CliError: another program listens there, or it was asked for twice; the sentence names port and flag.
    """
    if port in used:
        raise CliError(f"Port {port} is wanted twice; give each program its own with {flag}.", Exit.USAGE)
    if not is_free(port):
        raise CliError(
            f"Port {port} on {HOST} cannot be used, most likely because another program listens there; "
            f"end that program or choose another port with {flag}."
        )
    used.add(port)
    return port
