"""Running the sandbox as a server of its own."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from .app import create_app
from .config import KEEP_ALIVE_SECONDS, SandboxConfig


class PortTakenError(RuntimeError):
    """The address cannot be listened on; the text says what to do."""


def run(host: str = "127.0.0.1", port: int = 0, config: SandboxConfig | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish open requests (2 s at most) and return.

    Port 0 picks a free one; the first line printed names the address. PortTakenError when the port is in use.
    """
    listener = _listen(host, port)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config),
            access_log=False,
            log_level="warning",
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=2,
        )
    )
    shown = f"[{host}]" if ":" in host else host
    print(f"sandbox listens on http://{shown}:{listener.getsockname()[1]}", flush=True)
    with _returning_on_signals():
        server.run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise PortTakenError(
            f"The sandbox cannot listen on {host}:{port}; stop what uses it or choose another port with --port."
        ) from None
    return listener


@contextmanager
def _returning_on_signals() -> Iterator[None]:
    """Let `run` return after a signal: once it is done, the server raises it again for whoever listened before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
