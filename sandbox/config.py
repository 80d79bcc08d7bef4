"""Settings of one sandbox server."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

KEEP_ALIVE_SECONDS = 75
"""How long a quiet connection stays open, as at real providers: a client that sends on one being closed gets no answer."""


@dataclass(frozen=True)
class SandboxConfig:
    """How one sandbox behaves; every field has a default that suits a laptop."""

    public_url: str | None = None
    """Origin put before file, status and cancel URLs; None takes it from each request's Host header."""

    seed: int = 0
    """Start of every random draw (latency, failures, seeds a caller left out)."""

    image_latency_ms: tuple[int, int] = (300, 900)
    """Shortest and longest time an image job takes, unless a knob or a magic prompt says otherwise."""

    video_latency_ms: tuple[int, int] = (1_000, 2_000)
    """Shortest and longest time a video job takes."""

    max_jobs: int = 20_000
    """Jobs remembered per provider; the oldest are forgotten first."""

    max_log: int = 50_000
    """Log entries remembered in all; the oldest are forgotten first."""

    max_body_bytes: int = 32 * 1024 * 1024
    """Longest request body read; a longer one is refused with 413. It has room for a picture of 20 MiB in base64."""

    media_cache_bytes: int = 64 * 1024 * 1024
    """Bytes of encoded media kept in memory; anything dropped is encoded again, to the same bytes, on demand."""

    encoder_threads: int = 2
    """Threads that draw and encode, so that the event loop never does."""

    keep_bodies: bool = False
    """Keep submitted bodies, and so prompts, in clear in the request log. Off unless you look for a bug."""

    callbacks_anywhere: bool = False
    """Report to any address. Off: only loopback addresses are called, so that no test reaches out by accident."""

    callback_pauses_s: tuple[float, ...] = (0.0, 0.5, 1.5, 3.5)
    """Pauses before each attempt to report; the last one ends it. The real providers go on for hours."""

    clock: Callable[[], float] = time.time
    """Seconds since the epoch; job progress is computed from it."""


def webhook_secret(seed: int = 0) -> str:
    """Return what the sandbox's Replicate signs its reports with, as it says it itself."""
    digest = hashlib.sha256(f"webhook:{seed}".encode()).digest()
    return "whsec_" + base64.b64encode(digest[:24]).decode()
