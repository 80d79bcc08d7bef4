"""The address on which a server listens."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

import grpc

from kit.settings import Settings
from server.runtime.errors import StartError

_MOST_PORTS = 65_535


def bind(server: grpc.aio.Server, settings: Settings) -> str:
    """Binds a server to `settings.grpc_listen` and gives the real address, for example "127.0.0.1:50051".

    Raises:
        StartError: the address is malformed, not loopback in embedded mode, or cannot be had.
    """
    host, port = _split(settings.grpc_listen)
    if settings.mode != "embedded":
        raise StartError(
            "Production mode refuses plaintext gRPC and this version serves no TLS; set BABYSEA_MODE=embedded."
        )
    if not _is_loopback(host):
        raise StartError(
            f"Embedded mode listens on loopback only, not on {host}; "
            f"set BABYSEA_GRPC_LISTEN to 127.0.0.1:{port}."
        )
    if port:
        _try(host, port)
    shown = f"[{host}]" if ":" in host else host
    try:
        bound = server.add_insecure_port(f"{shown}:{port}")
    except RuntimeError as error:
        raise _taken(host, port) from error
    if not bound:
        raise _taken(host, port)
    return f"{shown}:{bound}"


def _split(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _MOST_PORTS:
        raise StartError(f'BABYSEA_GRPC_LISTEN is "{listen}"; it must be host:port, such as 127.0.0.1:50051.')
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _try(host: str, port: int) -> None:
    # Asked first, because gRPC's core writes a page of its own about a port that it cannot have.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise StartError(f"Port {port} needs more rights; choose one above 1023.") from error
            raise _taken(host, port) from error


def _taken(host: str, port: int) -> StartError:
    return StartError(
        f"Cannot listen on {host}:{port}; another program may use the port: "
        "stop it, or set BABYSEA_GRPC_LISTEN to another one."
    )
