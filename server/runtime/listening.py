"""The addresses on which a server listens."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

import grpc

from kit.settings import Settings
from server.runtime.errors import StartError
from server.runtime.transport import mutual_credentials, public_credentials

_MOST_PORTS = 65_535


def bind(server: grpc.aio.Server, settings: Settings) -> str:
    """Binds a server to `settings.grpc_listen` and gives the real address, for example "127.0.0.1:50051".

    Raises:
        StartError: the address is malformed, not loopback in embedded mode, or cannot be had; or TLS cannot be served.
    """
    return _bind(server, settings, "grpc_listen", public_credentials(settings))


def bind_mutual(server: grpc.aio.Server, settings: Settings) -> str:
    """Binds the port for callers with a client certificate, and gives its address; empty where there is no mTLS.

    A port of its own, because gRPC for Python either requires a certificate of everybody on a port or asks nobody.

    Raises:
        StartError: as for `bind`.
    """
    credentials = mutual_credentials(settings)
    return "" if credentials is None else _bind(server, settings, "grpc_mutual_listen", credentials)


def _bind(
    server: grpc.aio.Server, settings: Settings, name: str, credentials: grpc.ServerCredentials | None
) -> str:
    variable = f"BABYSEA_{name.upper()}"
    host, port = _split(getattr(settings, name), variable)
    if settings.mode == "embedded" and not _is_loopback(host):
        raise StartError(
            f"Embedded mode listens on loopback only, not on {host}; set {variable} to 127.0.0.1:{port}."
        )
    if port:
        _try(host, port, variable)
    shown = f"[{host}]" if ":" in host else host
    try:
        if credentials is None:
            bound = server.add_insecure_port(f"{shown}:{port}")
        else:
            bound = server.add_secure_port(f"{shown}:{port}", credentials)
    except RuntimeError as error:
        raise _taken(host, port, variable) from error
    if not bound:
        raise _taken(host, port, variable)
    return f"{shown}:{bound}"


def _split(listen: str, variable: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _MOST_PORTS:
        raise StartError(f'{variable} is "{listen}"; it must be host:port, such as 127.0.0.1:50051.')
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _try(host: str, port: int, variable: str) -> None:
    # Asked first, because gRPC's core writes a page of its own about a port that it cannot have.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise StartError(f"Port {port} needs more rights; choose one above 1023.") from error
            raise _taken(host, port, variable) from error


def _taken(host: str, port: int, variable: str) -> StartError:
    return StartError(
        f"Cannot listen on {host}:{port}; another program may use the port: "
        f"stop it, or set {variable} to another one."
    )
