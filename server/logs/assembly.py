"""Puts the parts of the request log together."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from server.logs.recording import RequestRecorder
from server.runtime.dependencies import Dependencies
from server.runtime.interceptors.recording import Recording

_log = logging.getLogger("babysea.logs")


@asynccontextmanager
async def recording_for(
    shared: Dependencies, gauge: Callable[[str, float], None]
) -> AsyncIterator[Recording | None]:
    """The stage that records calls, writing in the background for as long as the block runs; None where no log is kept."""
    engine = shared.databases.logger
    if engine is None:
        _log.warning("no request log is kept; set BABYSEA_LOGS_DATABASE_URL to keep one")
        yield None
        return
    recorder = RequestRecorder(engine, f"server-{os.getpid()}", shared.clock, gauge)
    async with recorder:
        yield Recording(recorder, shared.envelope.address_hash, shared.clock)
