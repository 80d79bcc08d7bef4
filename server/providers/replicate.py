"""Replicate: predictions that are created, polled and canceled over one HTTP API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from kit.clock import Clock, SystemClock
from server.catalog.types import ProviderInfo
from server.providers import faults
from server.providers.arrival import arrival_of
from server.providers.calls import asked, is_url, submitted
from server.providers.http import (
    Answer,
    NoAnswer,
    NothingSent,
    ProviderHttp,
    seconds_of,
    text_of,
)
from server.providers.mapping import native_parameters
from server.providers.protocol import (
    Accepted,
    CallbackFacts,
    CanceledUpstream,
    CancelOutcome,
    Failed,
    Fault,
    Finished,
    Job,
    Lost,
    Pending,
    Progress,
    ProviderRef,
    ProviderUnreachable,
    Refused,
    RemoteOutput,
    Submission,
    Unknown,
)
from server.providers.replicate_match import is_same
from server.providers.signatures import ReplicateSignatures

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_RESETS_IN = re.compile(r"resets in ~?([0-9]{1,5})\s*s")
# There is no error code for this: a failed prediction says it in words.
_POLICY_WORDS = re.compile(r"E005|flagged as sensitive|\bNSFW\b", re.IGNORECASE)
_MOST_PAGES = 20
_PAGE_BYTES = 16_000_000
"""Longest page of the list: every prediction in it repeats its input."""


class Replicate:
    """The adapter. One instance serves every model; close its `http` when done."""

    def __init__(self, http: ProviderHttp, info: ProviderInfo, clock: Clock | None = None) -> None:
        self.http = http
        self._info = info
        self._name = info.name
        self._clock = clock or SystemClock()
        self._signatures = ReplicateSignatures(http, info.name, self._clock)

    @property
    def capabilities(self) -> ProviderInfo:
        """What the catalog says about Replicate."""
        return self._info

    async def submit(self, job: Job) -> Submission:
        """Creates a prediction. The provider is told the deadline, so that nothing of ours runs on for ever."""
        body: dict[str, object] = {
            "input": native_parameters(job.model, job.provider_model, job.request, job.outputs)
        }
        if job.callback_url is not None:
            body |= {"webhook": job.callback_url, "webhook_events_filter": ["completed"]}
        answer = await submitted(
            self.http,
            self._name,
            f"v1/models/{job.provider_model.path}/predictions",
            body,
            headers={"Cancel-After": f"{job.model.deadline_seconds}s"},
        )
        if not isinstance(answer, Answer):
            return answer
        if not answer.ok:
            return Refused(self._fault(answer))
        job_id = answer.text("id")
        if not _JOB_ID.fullmatch(job_id):
            # It says that it made one, so one may be running.
            return Unknown(faults.invalid_response(self._name, answer.status))
        return Accepted(ProviderRef(job_id, {}))

    async def poll(self, ref: ProviderRef) -> Progress:
        """Reads the prediction."""
        answer = await asked(self.http, self._name, "poll", _path(ref))
        if answer.status == 404:
            return Lost(faults.lost(self._name, 404))
        if not answer.ok:
            raise ProviderUnreachable(self._fault(answer))
        status = answer.text("status")
        if status == "succeeded":
            return self._outcome(answer.fields)
        if status == "failed":
            refused = _POLICY_WORDS.search(answer.text("error"))
            return Failed((faults.content_policy if refused else faults.failed)(self._name))
        if status == "canceled":
            return CanceledUpstream()
        if status == "aborted":
            return Failed(faults.timed_out(self._name))
        if status in ("starting", "processing"):
            return Pending(self._info.min_poll_seconds)
        raise ProviderUnreachable(faults.invalid_response(self._name, answer.status))

    async def cancel(self, ref: ProviderRef) -> CancelOutcome:
        """Cancels the prediction; its state in the answer says whether that came in time."""
        try:
            answer = await self.http.call("cancel", "POST", f"{_path(ref)}/cancel")
        except (NothingSent, NoAnswer):
            return CancelOutcome.FAILED
        if answer.status == 404:
            return CancelOutcome.ALREADY_FINAL
        if not answer.ok:
            return CancelOutcome.FAILED
        status = answer.text("status")
        if status in ("canceled", "aborted"):
            return CancelOutcome.SENT_CONFIRMED
        return (
            CancelOutcome.ALREADY_FINAL
            if status in ("succeeded", "failed")
            else CancelOutcome.SENT_UNCONFIRMED
        )

    async def find(self, job: Job, since: datetime) -> tuple[ProviderRef, ...] | None:
        """Looks through the list of predictions, newest first, for ones with the very same input.

        None when one may be this job's or somebody else's, and when the list is too long to read.
        """
        wanted = native_parameters(job.model, job.provider_model, job.request, job.outputs)
        arrival = None
        doubtful = False
        found: list[tuple[datetime, ProviderRef]] = []
        url = "v1/predictions"
        for _ in range(_MOST_PAGES):
            page = await asked(self.http, self._name, "find", url, answer_bytes=_PAGE_BYTES)
            results = page.fields.get("results")
            if not page.ok:
                raise ProviderUnreachable(self._fault(page))
            if not isinstance(results, list):
                raise ProviderUnreachable(faults.invalid_response(self._name, page.status))
            arrival = arrival or arrival_of(page, since, self._clock.now())
            entries = [entry for entry in results if isinstance(entry, dict)]
            # One that does not say when it was made may be the one.
            recent = [
                entry for entry in entries if (made := _created_at(entry)) is None or made >= arrival.earliest
            ]
            for entry in recent:
                made = _created_at(entry) or arrival.about
                if made > arrival.latest or not _JOB_ID.fullmatch(text_of(entry, "id")):
                    continue
                same = is_same(entry, job, wanted)
                found += [(made, ProviderRef(text_of(entry, "id"), {}))] if same else []
                doubtful = doubtful or same is None
            url = page.text("next")
            if not url or len(recent) < len(entries):
                # One without additions shows that none are filled in, so those with some are somebody else's.
                return None if doubtful and not found else _nearest(found, arrival.about)
            if not self.http.is_ours(url):
                raise ProviderUnreachable(faults.invalid_response(self._name, page.status))
        # Having stopped looking is no proof that there is nothing, and what was found may be of other attempts.
        return None

    async def verify_callback(self, headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        """What a report that arrived is about; it is signed with the secret of our account.

        Raises:
            CallbackRefused: it cannot be trusted.
            ProviderUnreachable: the account's secret cannot be had now.
        """
        return await self._signatures.verify(headers, body)

    def _outcome(self, prediction: Mapping[str, object]) -> Progress:
        run_seconds = seconds_of(prediction.get("metrics"), "predict_time")
        urls = _urls(prediction.get("output"))
        if urls:
            return Finished(tuple(RemoteOutput(url, None) for url in urls), run_seconds)
        if prediction.get("data_removed") is True:
            return Lost(faults.output_gone(self._name))
        return Failed(faults.invalid_response(self._name))

    def _fault(self, answer: Answer) -> Fault:
        wait = self.http.retry_after(answer)
        if wait is None and (words := _RESETS_IN.search(answer.text("detail"))):
            wait = float(words[1])
        return faults.of_answer(self._name, answer, wait)


def _nearest(found: list[tuple[datetime, ProviderRef]], moment: datetime) -> tuple[ProviderRef, ...]:
    """The references, the one made nearest to a moment first."""
    return tuple(ref for _, ref in sorted(found, key=lambda one: abs((one[0] - moment).total_seconds())))


def _path(ref: ProviderRef) -> str:
    if not _JOB_ID.fullmatch(ref.job_id):
        raise ValueError("a job id that Replicate cannot have given")
    return f"v1/predictions/{ref.job_id}"


def _urls(output: object) -> list[str]:
    """The files of an output, which is one URL or a list of them, depending on the model; none if any is no URL."""
    files = output if isinstance(output, list) else [output]
    urls = [each for each in files if is_url(each)]
    return urls if len(urls) == len(files) else []


def _created_at(entry: Mapping[str, object]) -> datetime | None:
    try:
        at = datetime.fromisoformat(text_of(entry, "created_at"))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
