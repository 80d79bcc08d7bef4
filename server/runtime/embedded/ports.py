"""Loopback ports for servers that keep theirs over a restart."""

import random
import socket
import struct

from server.runtime.embedded.errors import PortTaken

HOST = "127.0.0.1"
# Below the range from which systems take ports for outgoing connections, so that a remembered port stays free.
_RANGE = range(20_000, 32_000)
_TRIES = 200
# The fixed first message of the wire protocol: its length, then the code 1234.5679.
_SSL_REQUEST = struct.pack("!IHH", 8, 1234, 5679)


def is_free(port: int) -> bool:
    """Say whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As PostgreSQL does it: connections of the last run that still linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except (OSError, OverflowError):
            return False
    return True


def choose(asked: int | None, remembered: int | None) -> int:
    """Return the asked port or raise `PortTaken`; else the remembered one if free; else a free one."""
    if asked is not None:
        if not is_free(asked):
            raise taken(asked)
        return asked
    if remembered is not None and is_free(remembered):
        return remembered
    # Not a secret: random only so that clusters that start together rarely meet.
    for candidate in random.sample(_RANGE, _TRIES):
        if is_free(candidate):
            return candidate
    raise PortTaken(f"No free port was found on {HOST}; end some programs or name a free port.")


def taken(port: int) -> PortTaken:
    """Return the one sentence about a taken port."""
    return PortTaken(
        f"Port {port} on {HOST} cannot be used, most likely because another program listens there; "
        "end that program or ask for another port."
    )


def server_answers(port: int, *, seconds: float) -> bool:
    """Say whether a PostgreSQL on `port` would talk to a new client now.

    It is asked for encryption, which needs no user, and answers one byte: S or N. A server that still
    recovers answers too, so this proves only that it is awake; its pid file says whether it is ready.
    """
    try:
        with socket.create_connection((HOST, port), timeout=seconds) as connection:
            connection.sendall(_SSL_REQUEST)
            return connection.recv(1) in {b"S", b"N"}
    except OSError:
        return False
