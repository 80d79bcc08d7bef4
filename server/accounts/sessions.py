"""Sessions: the credential of a signed-in person, and who holds one.

A token is ses_<region>_<43 base62>. Stored is only its keyed hash, and every use looks at the stored state, so that a
session that ended is refused at once and everywhere.
"""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.clock import Clock
from kit.errors import BabySeaError
from kit.ids import random_base62
from kit.settings import REGIONS
from server.runtime.database import statement
from server.runtime.encryption import Envelope
from server.runtime.identity import Member

PREFIX = "ses_"
"""Beginning of every session token, which travels as "authorization: Bearer ses_…"."""

IDLE = timedelta(days=14)
"""A session that nobody uses ends after this."""

LONGEST = timedelta(days=90)
"""Every session ends after this."""

_TOUCH_AFTER = timedelta(minutes=1)
_RANDOM_CHARACTERS = 43
_SHAPE = re.compile(r"ses_([a-z]{2})_[0-9A-Za-z]{43}")
_FIND = text(
    "select id, person_id, expires_at, revoked_at, last_seen_at from accounts.find_session(cast(:hash as bytea))"
)
_TOUCH = text(
    "select accounts.touch_session(cast(:id as uuid), cast(:idle as interval), cast(:longest as interval))"
)


def new_token(region: str) -> str:
    """A new session token; 256 random bits that are stored nowhere."""
    return f"{PREFIX}{region}_{random_base62(_RANDOM_CHARACTERS)}"


def token_hash(envelope: Envelope, token: str) -> bytes:
    """What is stored of a token."""
    return envelope.keyed_hash("session", token.encode())


class SessionVerifier:
    """Knows sessions of one region."""

    def __init__(self, engine: AsyncEngine, envelope: Envelope, region: str, clock: Clock) -> None:
        self._engine = engine
        self._envelope = envelope
        self._region = region
        self._clock = clock

    async def verify(self, token: str) -> Member:
        """Who holds a session; its use is noted to the minute.

        Raises:
            BabySeaError: AUTHENTICATION_FAILED for text that is no session of this region (another one is named in
                details.region) and for a session that has ended.
            Exception: the database is away.
        """
        match = _SHAPE.fullmatch(token)
        if match is None:
            raise _ended()
        if match[1] != self._region:
            raise _ended({"region": match[1]} if match[1] in REGIONS else None)
        async with statement(self._engine) as connection:
            values = {"hash": token_hash(self._envelope, token)}
            row = (await connection.execute(_FIND, values)).one_or_none()
            now = self._clock.now()
            if row is None or row.revoked_at is not None or row.expires_at <= now:
                raise _ended()
            if now - row.last_seen_at >= _TOUCH_AFTER:
                await connection.execute(_TOUCH, {"id": row.id, "idle": IDLE, "longest": LONGEST})
        return Member(person_id=UUID(str(row.person_id)), session_id=UUID(str(row.id)))


def _ended(details: dict[str, str] | None = None) -> BabySeaError:
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED,
        "The session is not valid in this region or has ended; sign in again.",
        details=details,
    )
