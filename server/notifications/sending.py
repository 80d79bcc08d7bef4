"""The sender: takes due letters from the region's queue, hands them over, and records what became of each.

Handing over and recording cannot be one step, so a sender that dies between them leaves a letter that is sent again when
its lease is over: at most once more per death, with the same Message-ID. No letter is lost, and two living senders never
send the same one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from kit.clock import Clock
from kit.ids import uuid7
from server.notifications import store
from server.notifications.addressing import Addressed, Addressing, DroppedError, LostError
from server.notifications.bounces import note_bounce
from server.notifications.mailing import DelayedError, Mailer, RefusedError, compose, message_id
from server.notifications.rendering import Renderer, UnknownTemplateError
from server.notifications.store import Claimed
from server.runtime.database import statement
from server.runtime.repeating import Repeating

_IDLE_SECONDS = 1.0
_BATCH = 8
_LEASE_SECONDS = 180.0
_LATEST_START_SECONDS = 90.0
"""A letter is handed over only so soon after its claim; a mailer takes a minute at most, so the lease outlasts it."""
_FIRST_PAUSE_SECONDS = 15.0
_LONGEST_PAUSE_SECONDS = 3600.0
_TURNS = 2
"""Letters of a batch that use the database at a time: the executor of the same process needs its connections."""
_GIVE_UP = timedelta(hours=72)
_KEEP = timedelta(days=30)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """How letters leave."""

    sender: str
    """Address, or name and address, that they come from."""
    dashboard: str
    """Base URL of the region's pages."""
    idle_seconds: float = _IDLE_SECONDS
    lease_seconds: float = _LEASE_SECONDS
    latest_start_seconds: float = _LATEST_START_SECONDS
    drain_seconds: float = 10.0
    """Time that a stopping sender gives to what it has begun."""


class Sender(Repeating):
    """Sends the region's letters; a context manager around a worker's run."""

    def __init__(
        self,
        engine: AsyncEngine,
        addressing: Addressing,
        renderer: Renderer,
        mailer: Mailer,
        clock: Clock,
        settings: SenderSettings,
        *,
        chance: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes the workers' engine and what a letter passes through; `chance` spreads the pauses."""
        super().__init__("sender", settings.idle_seconds, trouble="letters could not be taken from the queue")
        self._engine = engine
        self._addressing = addressing
        self._renderer = renderer
        self._mailer = mailer
        self._clock = clock
        self._settings = settings
        self._chance = chance
        self._monotonic = monotonic
        self._id: UUID = uuid7()
        self._turns = asyncio.Semaphore(_TURNS)

    async def once(self) -> float | None:
        """Sends what is due, up to a batch; at once again when there may be more."""
        return 0 if await self.work() == _BATCH else None

    async def work(self) -> int:
        """Sends a batch of due letters side by side; how many there were."""
        claimed_at = self._monotonic()
        letters = await store.claim_letters(self._engine, self._id, _BATCH, self._settings.lease_seconds)
        batch = asyncio.ensure_future(
            asyncio.gather(*(self._deliver(letter, claimed_at) for letter in letters))
        )
        try:
            await asyncio.shield(batch)
        except asyncio.CancelledError:
            # What a mail server has and nobody recorded would be sent again, so a stopping sender ends what it began.
            await asyncio.wait([batch], timeout=self._settings.drain_seconds)
            batch.cancel()
            raise
        return len(letters)

    async def _deliver(self, letter: Claimed, claimed_at: float) -> None:
        """One letter, from its claim to its end or its return; whatever happens to it stops no other."""
        try:
            await self._try(letter, claimed_at)
        except LostError:
            _log.warning("a letter's lease was over before it was done", extra=_facts(letter))
        except Exception:  # noqa: BLE001 - its lease brings it back
            _log.exception("what became of a letter could not be recorded", extra=_facts(letter))

    async def _try(self, letter: Claimed, claimed_at: float) -> None:
        try:
            await self._send(letter, claimed_at)
        except LostError:
            raise
        except DroppedError as error:
            await self._finish(letter, error.state, error=str(error))
        except UnknownTemplateError:
            # A newer program may have posted it; one of its kind will send it.
            await self._later(letter, "unknown_template")
        except DelayedError as error:
            await self._later(letter, str(error))
        except Exception:  # noqa: BLE001 - tried again, and given up in the end
            _log.exception("a letter could not be sent", extra=_facts(letter))
            await self._later(letter, "internal")

    async def _send(self, letter: Claimed, claimed_at: float) -> None:
        async with self._turns:
            addressed = await self._addressing.address(letter, self._clock.now())
        rendered = self._renderer.render(
            letter.template, letter.template_version, addressed.values, letter.created_at
        )
        page = (
            f"{self._settings.dashboard.rstrip('/')}/notifications" if addressed.can_be_turned_off else None
        )
        try:
            message = compose(
                rendered,
                letter_id=letter.id,
                sender=self._settings.sender,
                to=addressed.to,
                at=self._clock.now(),
                unsubscribe=page,
            )
        except (ValueError, IndexError):
            await self._finish(letter, "failed", error="bad_address")
            return
        if self._monotonic() - claimed_at > self._settings.latest_start_seconds:
            raise LostError
        try:
            await self._mailer.send(message, message["To"].addresses[0].addr_spec)
        except RefusedError as error:
            await self._refused(letter, addressed, error)
            return
        await self._finish(letter, "sent", message=message_id(letter.id, self._settings.sender))

    async def _refused(self, letter: Claimed, addressed: Addressed, error: RefusedError) -> None:
        if error.bounced:
            async with self._turns:
                kept = await note_bounce(
                    self._engine,
                    letter,
                    addressed.person_id,
                    addressed.email_hash,
                    self._clock.now(),
                    str(error),
                )
            if not kept:
                raise LostError
            return
        _log.error("a letter was refused", extra=_facts(letter, str(error)))
        await self._finish(letter, "failed", error=str(error))

    async def _later(self, letter: Claimed, error: str) -> None:
        if self._clock.now() - letter.created_at > _GIVE_UP:
            _log.error("a letter was given up", extra=_facts(letter, error))
            await self._finish(letter, "failed", error="given_up")
            return
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(letter.attempts - 1, 16), _LONGEST_PAUSE_SECONDS)
        # Spread, so that letters that failed together do not all come back together.
        pause *= 0.5 + self._chance()
        _log.warning("a letter is tried again", extra=_facts(letter, error))
        async with self._turns:
            await store.return_letter(self._engine, letter, pause, error)

    async def _finish(
        self, letter: Claimed, state: str, *, error: str | None = None, message: str | None = None
    ) -> None:
        async with self._turns, statement(self._engine) as connection:
            if not await store.finish_letter(connection, letter, state, error=error, message_id=message):
                raise LostError


class Forgetting(Repeating):
    """Drops letters of a month ago, notices of a year ago, and suppressions that are over."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__("letter forgetting", 3600.0, trouble="old letters could not be dropped yet")
        self._engine = engine

    async def once(self) -> None:
        """Drops what is old."""
        await store.forget_letters(self._engine, _KEEP)


def _facts(letter: Claimed, error: str | None = None) -> dict[str, dict[str, str | int]]:
    facts: dict[str, str | int] = {
        "letter": str(letter.id),
        "template": letter.template,
        "attempts": letter.attempts,
    }
    return {"facts": facts if error is None else {**facts, "error": error}}
