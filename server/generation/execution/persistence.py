"""Writes that must not be given up: what a provider answered has to reach the record, however long the database is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from server.runtime.database_errors import is_refused

DATABASE_ERRORS = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
_PAUSE_SECONDS = 0.5
_log = logging.getLogger(__name__)

Result = TypeVar("Result")


async def insist(write: Callable[[], Awaitable[Result]]) -> Result:
    """Repeats a write until the database took it; the write must be one that may be repeated.

    Raises:
        DATABASE_ERRORS: the database refuses the write itself.
        JobLost: the write found that the job is no longer ours.
    """
    told = False
    while True:
        try:
            return await write()
        except DATABASE_ERRORS as error:
            if is_refused(error):
                # Again and again, and its caller would never come back.
                raise
            # Once: while the database is away, hundreds of jobs wait here.
            if not told:
                _log.warning("a write waits for the database", exc_info=True)
                told = True
            await asyncio.sleep(_PAUSE_SECONDS)
