"""The request log: what was submitted and what it costs upstream. Tests ask it what really happened."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from .jobs import Job
from .trouble import Trouble


class Outcome(StrEnum):
    """How a submit was met."""

    ACCEPTED = "accepted"
    LOST = "lost"
    """Accepted, and the connection closed without an answer."""

    RESET = "reset"
    """The connection was reset before any job was made."""

    UNAUTHORIZED = "unauthorized"
    OUTAGE = "outage"
    FORCED = "forced_status"
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"
    """Refused by a knob or a token, for the reason in `trouble`."""

    MODERATED = "moderated"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    UNKNOWN_MODEL = "unknown_model"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Entry:
    """One submit."""

    sequence: int
    at: float
    provider: str
    model: str
    outcome: Outcome
    trouble: Trouble | None
    body_sha256: str
    magic: tuple[str, ...]
    job: Job | None
    body: str | None

    def view(self, now: float) -> dict[str, object]:
        """Return the entry as JSON, with its job's state and cost as of `now`."""
        shown: dict[str, object] = {
            "sequence": self.sequence,
            "time": self.at,
            "provider": self.provider,
            "model": self.model,
            "outcome": self.outcome.value,
            "trouble": self.trouble.value if self.trouble else None,
            "job_id": self.job.id if self.job else None,
            "state": self.job.state(now).value if self.job else None,
            "billable": self.job.billable_micros(now) if self.job else 0,
            "body_sha256": self.body_sha256,
            "magic": list(self.magic),
        }
        if self.body is not None:
            shown["body"] = self.body
        return shown


class RequestLog:
    """The last submits, oldest first, bounded."""

    def __init__(self, most: int, keep_bodies: bool) -> None:
        self._entries: deque[Entry] = deque(maxlen=most)
        self._keep_bodies = keep_bodies
        self._sequence = 0

    def write(
        self,
        at: float,
        provider: str,
        model: str,
        outcome: Outcome,
        raw: bytes,
        *,
        trouble: Trouble | None = None,
        magic: Iterable[str] = (),
        job: Job | None = None,
    ) -> None:
        """Note one submit; the body itself is kept only when the settings say so."""
        self._sequence += 1
        self._entries.append(
            Entry(
                sequence=self._sequence,
                at=at,
                provider=provider,
                model=model,
                outcome=outcome,
                trouble=trouble,
                body_sha256=hashlib.sha256(raw).hexdigest(),
                magic=tuple(magic),
                job=job,
                body=raw.decode("utf-8", "replace") if self._keep_bodies else None,
            )
        )

    def read(self, now: float, provider: str | None, since: int) -> list[dict[str, object]]:
        """Return the entries numbered above `since`, of one provider or of all."""
        return [
            entry.view(now)
            for entry in self._entries
            if entry.sequence > since and provider in (None, entry.provider)
        ]

    def bill(self, now: float) -> dict[str, dict[str, int]]:
        """Return by provider what was submitted and accepted, and the jobs and micro-dollars billed as of `now`."""
        bills: dict[str, dict[str, int]] = {}
        for entry in self._entries:
            bill = bills.setdefault(
                entry.provider, dict.fromkeys(("submitted", "accepted", "paid", "billable"), 0)
            )
            cost = entry.job.billable_micros(now) if entry.job else 0
            bill["submitted"] += 1
            bill["accepted"] += entry.job is not None
            bill["paid"] += cost > 0
            bill["billable"] += cost
        return bills

    @property
    def last_sequence(self) -> int:
        """The number of the newest entry; 0 when there was none."""
        return self._sequence

    def clear(self) -> None:
        """Forget every entry. Numbers go on, so that a reader's cursor stays good."""
        self._entries.clear()
