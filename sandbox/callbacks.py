"""Reports to the URLs that callers gave with their requests, signed as each provider signs them."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from .config import SandboxConfig
from .jobs import Job, State

_LOOK_EVERY_S = 0.05
_TIMEOUT_S = 15.0
_STALE_S = 3_600.0
_HELD_S = 2.0
"""How long the only report of a job is held when reports are reordered."""

_MOST_NOTES = 5_000

START, END = "start", "completed"


class Reporter(Protocol):
    """How one provider reports."""

    def events(self, job: Job) -> tuple[str, ...]:
        """Return which of "start" and "completed" are reported for the job."""
        ...

    def report(self, job: Job, as_of: float, said_at: float) -> Mapping[str, object]:
        """Return the report on the job as of a time; `said_at` is when it claims to be written."""
        ...

    def headers(
        self, job: Job, raw: bytes, event_id: str, signed_at: float, *, genuine: bool
    ) -> dict[str, str]:
        """Return the signature headers for those bytes; a forged one is made with a key of somebody else."""
        ...


@dataclass
class _Watched:
    job: Job
    waiting: list[str]
    ended_as: State | None = None
    """The final state that was reported last."""


@dataclass(frozen=True, slots=True)
class _Note:
    at: float
    provider: str
    job_id: str
    event: str
    genuine: bool
    attempt: int
    status: int | None
    """The caller's answer; None when there was none."""


@dataclass
class Callbacks:
    """Watches the jobs that have a URL and sends what happens to them."""

    config: SandboxConfig
    _reporters: dict[str, Reporter] = field(default_factory=dict)
    _watched: list[_Watched] = field(default_factory=list)
    _notes: deque[_Note] = field(default_factory=lambda: deque(maxlen=_MOST_NOTES))
    _sending: set[asyncio.Task[None]] = field(default_factory=set)
    _bell: asyncio.Task[None] | None = None
    _http: httpx.AsyncClient | None = None

    def register(self, provider: str, reporter: Reporter) -> None:
        """Name who writes and signs the provider's reports."""
        self._reporters[provider] = reporter

    def watch(self, job: Job) -> None:
        """Report what happens to the job, when it has a URL that may be called."""
        reporter = self._reporters.get(job.provider)
        if reporter is None or job.webhook is None or job.callbacks == "none":
            return
        if not self._may_call(job.webhook):
            self._note(job, "refused_address", True, 0, None)
            return
        self._watched.append(_Watched(job, list(reporter.events(job))))
        if self._bell is None or self._bell.done():
            self._bell = asyncio.get_running_loop().create_task(self._look())

    def clear(self) -> None:
        """Forget every job; reports under way are dropped."""
        self._watched.clear()
        self._notes.clear()
        for task in self._sending:
            task.cancel()

    async def close(self) -> None:
        """Stop sending."""
        self.clear()
        if self._bell is not None:
            self._bell.cancel()
        if self._http is not None:
            await self._http.aclose()

    def view(self) -> list[dict[str, object]]:
        """Return every attempt to report, oldest first; never a URL, because it may hold a secret."""
        return [
            {
                "time": note.at,
                "provider": note.provider,
                "job_id": note.job_id,
                "event": note.event,
                "genuine": note.genuine,
                "attempt": note.attempt,
                "status": note.status,
            }
            for note in self._notes
        ]

    def _may_call(self, url: str) -> bool:
        if self.config.callbacks_anywhere:
            return True
        host = urlsplit(url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    async def _look(self) -> None:
        # One look at all jobs instead of a timer for each: a cancel or a clock of a test ends a job at any moment.
        while self._watched:
            now = self.config.clock()
            for watched in list(self._watched):
                if self._report_changes(watched, now):
                    self._watched.remove(watched)
            await asyncio.sleep(_LOOK_EVERY_S)

    def _report_changes(self, watched: _Watched, now: float) -> bool:
        """Send what is due; return whether nothing more will come."""
        job = watched.job
        state = job.state(now)
        if job.callbacks == "forged":
            if state is not State.QUEUED:
                self._send(job, END, job.last_change() + 1, genuine=False)
            return state is not State.QUEUED

        reordered = job.callbacks == "reordered"
        if state is not State.QUEUED and START in watched.waiting and (not reordered or state.final):
            watched.waiting.remove(START)
            # A report of the start says that the job runs, however late it comes.
            started = min(now, max(job.starts_at, job.ends_at - 0.001))
            self._send(job, START, started, hold_s=_HELD_S / 2 if reordered else 0.0)
        if state.final and END in watched.waiting and state is not watched.ended_as:
            alone = len(self._reporters[job.provider].events(job)) == 1
            self._send(job, END, now, hold_s=_HELD_S if reordered and alone else 0.0)
            watched.ended_as = state
        return state.final and now >= job.last_change()

    def _send(self, job: Job, event: str, as_of: float, *, genuine: bool = True, hold_s: float = 0.0) -> None:
        for _ in range(2 if job.callbacks == "twice" else 1):
            task = asyncio.get_running_loop().create_task(self._deliver(job, event, as_of, genuine, hold_s))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _deliver(self, job: Job, event: str, as_of: float, genuine: bool, hold_s: float) -> None:
        if job.webhook is None:
            return
        if hold_s:
            await asyncio.sleep(hold_s)
        reporter = self._reporters[job.provider]
        age_s = _STALE_S if job.callbacks == "stale" else 0.0
        said = reporter.report(job, as_of, self.config.clock() - age_s)
        raw = json.dumps(said, separators=(",", ":")).encode()
        # The same report has the same id, however often it is sent.
        event_id = f"msg_{uuid.uuid5(uuid.NAMESPACE_OID, f'{job.id}:{event}:{job.state(as_of).value}').hex}"
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)

        for attempt, pause_s in enumerate(self.config.callback_pauses_s, start=1):
            await asyncio.sleep(pause_s)
            headers = reporter.headers(job, raw, event_id, self.config.clock() - age_s, genuine=genuine)
            status = await self._post(job.webhook, raw, headers)
            self._note(job, event, genuine, attempt, status)
            if status is not None and 200 <= status < 300:
                return

    async def _post(self, url: str, raw: bytes, headers: Mapping[str, str]) -> int | None:
        if self._http is None:
            return None
        try:
            answer = await self._http.post(
                url, content=raw, headers={"content-type": "application/json", **headers}
            )
        except (httpx.HTTPError, httpx.InvalidURL):
            return None
        return answer.status_code

    def _note(self, job: Job, event: str, genuine: bool, attempt: int, status: int | None) -> None:
        at = self.config.clock()
        self._notes.append(_Note(at, job.provider, job.id, event, genuine, attempt, status))
