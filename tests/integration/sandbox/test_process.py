from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from sandbox.main import PortTakenError, run
from tests.integration.sandbox.driving import EIGHT, FAL_HEADERS


def test_the_program_serves_quietly_and_ends_cleanly_on_sigterm() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", first)
        assert address is not None, first
        with httpx.Client(base_url=address[0]) as http:
            assert http.get("/_sandbox/health").json() == {"status": "ok", "providers": EIGHT}
            body = {"prompt": "a secret cube"}
            assert http.post("/fal/fal-ai/flux/dev", json=body, headers=FAL_HEADERS).status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                http.post("/fal/fal-ai/flux/dev", json={"prompt": "[[lose]]"}, headers=FAL_HEADERS)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert rest == ""


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=r"choose another port with --port\."):
            run("127.0.0.1", port)
