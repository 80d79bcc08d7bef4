"""A host between a client and the sandbox that passes everything on and writes down what was asked."""

from __future__ import annotations

import email.parser
import email.policy
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

STEP = "/_step"
"""Where a player says what its next requests are for."""
_OUR_OWN = (STEP, "/_files/", "/_sandbox/")
_SECONDS = 60


@dataclass(frozen=True)
class Seen:
    """One request that arrived."""

    player: str
    provider: str
    operation: str
    method: str
    path: str
    """Decoded, without its query."""
    query: dict[str, str]
    headers: dict[str, str]
    """By lower-case name."""
    body: dict[str, Any]
    """The JSON object or the parts of the form; empty where there was none."""
    status: int


@dataclass
class Recorder:
    """What came by, in order."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    step: dict[str, str] = field(default_factory=dict)


@contextmanager
def recording(sandbox_url: str) -> Iterator[Recorder]:
    """A recorder on a free port of loopback, in front of that sandbox."""
    target = urlsplit(sandbox_url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.path == STEP:
                recorder.step = json.loads(content)
                self._reply(204, [], b"")
                return
            # The Host stays, so that the sandbox names files and polling URLs that lead here again.
            onward = http.client.HTTPConnection(target.hostname or "", target.port, timeout=_SECONDS)
            onward.request(self.command, self.path, content, dict(self.headers.items()))
            answer = onward.getresponse()
            body = answer.read()
            if not self.path.startswith(_OUR_OWN):
                recorder.seen.append(_seen(self, content, answer.status, recorder.step))
            self._reply(answer.status, answer.getheaders(), body)
            onward.close()

        def _reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                    self.send_header(name, value)
            if status != 204:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - the names that the base class looks for

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - named by the base class
            """Nothing: the table says what came by."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    recorder = Recorder(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _seen(request: BaseHTTPRequestHandler, content: bytes, status: int, step: dict[str, str]) -> Seen:
    parts = urlsplit(request.path)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Seen(
        step.get("player", ""),
        step.get("provider", ""),
        step.get("operation", ""),
        request.command,
        unquote(parts.path),
        dict(parse_qsl(parts.query)),
        headers,
        _body(content, headers.get("content-type", "")),
        status,
    )


def _body(content: bytes, kind: str) -> dict[str, Any]:
    if not content:
        return {}
    if kind.startswith("multipart/"):
        head = f"content-type: {kind}\r\n\r\n".encode()
        form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + content)
        return {
            str(part.get_param("name", header="content-disposition")): (
                "(file)" if part.get_filename() else part.get_content().strip()
            )
            for part in form.iter_parts()
        }
    found = json.loads(content)
    return found if isinstance(found, dict) else {}
