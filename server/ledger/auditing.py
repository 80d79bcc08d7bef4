"""The background audit: rounds over the accounts that changed, by whichever worker comes first, and what servers say of it.

A round re-hashes only journal rows that are new since an account was last found clean. The full audit, on request, trusts
no mark and re-hashes everything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health
from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy.ext.asyncio import AsyncEngine

from server.ledger import upkeep_store as store
from server.runtime.repeating import Repeating

HEALTH_NAME = "babysea.ledger.audit"
"""Health checks of this name answer NOT_SERVING while the last round's findings stand; the ledger itself goes on."""
GAUGE = "ledger_audit_findings"

_BATCH = 500
_LOGGED_FINDINGS = 100
_LOOK_SECONDS = 5.0
_MISSED_ROUNDS = 3
_log = logging.getLogger("babysea.ledger.audit")


@dataclass(frozen=True, slots=True)
class Round:
    """One complete round."""

    findings: tuple[tuple[str, str], ...]
    """(invariant, subject); an account with findings is found again in every round until it is repaired."""
    accounts: int
    entries: int


async def audit_round(
    engine: AsyncEngine, every: timedelta = timedelta(0), size: int = _BATCH
) -> Round | None:
    """Audits every account that changed; None when the last round is younger than `every` or another worker is at one."""
    findings: list[tuple[str, str]] = []
    wrong: list[UUID] = []
    accounts = entries = 0
    while True:
        batch = await store.audit_batch(engine, every, size, wrong)
        if batch is None:
            return None
        findings += batch.findings
        wrong += batch.wrong
        accounts += batch.accounts
        entries += batch.entries
        if batch.accounts < size:
            break
    findings += await store.audit_region(engine)
    await store.audit_end(engine, len(findings), accounts, entries)
    for invariant, subject in findings[:_LOGGED_FINDINGS]:
        _log.error("the ledger is wrong", extra={"facts": {"invariant": invariant, "subject": subject}})
    return Round(tuple(findings), accounts, entries)


class Auditor(Repeating):
    """Audits what changed, every so many seconds; among several workers each round is one worker's."""

    def __init__(self, engine: AsyncEngine, seconds: float) -> None:
        # Workers look five times as often as a round is due, so that one that is gone is not waited for.
        super().__init__("the audit", seconds / 5, trouble="the audit could not be done yet")
        self._engine = engine
        self._every = timedelta(seconds=seconds)
        self.findings = 0
        """What this process's last round found."""

    async def once(self) -> None:
        """Makes a round if one is due."""
        done = await audit_round(self._engine, self._every)
        if done is not None:
            self.findings = len(done.findings)


class AuditWatch(Repeating):
    """Tells a server's health and metrics what the region's last round found, whichever worker made it."""

    def __init__(
        self,
        engine: AsyncEngine,
        servicer: health.HealthServicer,
        gauge: Callable[[str, float], None],
        round_seconds: float,
    ) -> None:
        # Without rounds there is nothing to look at.
        super().__init__(
            "the look at the audit",
            min(round_seconds, _LOOK_SECONDS),
            trouble="the look at the audit could not be done yet",
        )
        self._stale_seconds = round_seconds * _MISSED_ROUNDS
        self._engine = engine
        self._servicer = servicer
        self._gauge = gauge

    async def once(self) -> None:
        """Looks; before the first round, or when rounds no longer come, the answer is SERVICE_UNKNOWN."""
        with suppress_instrumentation():
            state = await store.audit_state(self._engine)
        status: int = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        if state is not None:
            self._gauge(GAUGE, state.findings)
            if state.findings:
                status = health_pb2.HealthCheckResponse.NOT_SERVING
            elif state.age_seconds <= self._stale_seconds:
                status = health_pb2.HealthCheckResponse.SERVING
        await self._servicer.set(HEALTH_NAME, status)
