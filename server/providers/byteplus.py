"""BytePlus ModelArk: images are made while the call waits, videos are tasks that are created, polled and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from server.catalog.types import ProviderInfo
from server.providers import faults
from server.providers.byteplus_tasks import (
    JOB_ID,
    TASKS,
    code_of,
    is_all_older,
    mark_of,
    may_be_since,
    native_of,
    path_of,
    task_of,
)
from server.providers.calls import asked, is_url, submitted
from server.providers.http import Answer, NoAnswer, NothingSent, ProviderHttp, text_of
from server.providers.protocol import (
    Accepted,
    CallbackFacts,
    CallbackRefused,
    CanceledUpstream,
    CancelOutcome,
    Done,
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

_IMAGES = "images."
"""Begins our own name of a call that made images; no task of the provider's can have it."""
_PAGE_SIZE = 100
_MOST_PAGES = 20
_CLOCK_MARGIN = timedelta(minutes=5)

_POLICY_WORD = "SensitiveContent"
_ACCOUNT_WORDS = ("Authentication", "AccountOverdue", "QuotaExceeded", "SetLimitExceeded")
_UNAVAILABLE_WORDS = ("ServerOverloaded", "ModelLoading", "AccessDenied", "ModelNotOpen")
"""Of one model: it is full, or not open to us; the others may serve."""
_RATE_WORDS = ("RateLimitExceeded", "BurstTooFast", "InflightBatchsizeExceeded")
_INVALID_WORDS = ("InvalidParameter", "MissingParameter")
_NOT_QUEUED = {
    "running": CancelOutcome.NOT_SUPPORTED,
    "succeeded": CancelOutcome.ALREADY_FINAL,
    "failed": CancelOutcome.ALREADY_FINAL,
    "cancelled": CancelOutcome.ALREADY_FINAL,
    "expired": CancelOutcome.ALREADY_FINAL,
    "gone": CancelOutcome.ALREADY_FINAL,
}
"""What a cancel comes to for a task that is not in the queue."""


class BytePlus:
    """The adapter. One instance serves every model; close its `http` when done."""

    def __init__(self, http: ProviderHttp, info: ProviderInfo) -> None:
        self.http = http
        self._info = info
        self._name = info.name

    @property
    def capabilities(self) -> ProviderInfo:
        """What the catalog says about BytePlus."""
        return self._info

    async def submit(self, job: Job) -> Submission:
        """Creates a task for a video, or has images made while the call waits."""
        is_task = job.provider_model.path == TASKS
        answer = await submitted(
            self.http,
            self._name,
            job.provider_model.path,
            task_of(job) if is_task else native_of(job),
            seconds=None if is_task else job.seconds,
        )
        if not isinstance(answer, Answer):
            return answer
        if not answer.ok:
            return Refused(self._fault(answer))
        if not is_task:
            return self._images(job, answer)
        job_id = answer.text("id")
        if not JOB_ID.fullmatch(job_id):
            # It says that it made one, so one may be running.
            return Unknown(faults.invalid_response(self._name, answer.status))
        return Accepted(ProviderRef(job_id, {}))

    async def poll(self, ref: ProviderRef) -> Progress:
        """Reads the task. Images were all there when their call ended, and can still be fetched."""
        if ref.job_id.startswith(_IMAGES):
            files = tuple(RemoteOutput(url, None) for _, url in sorted(ref.urls.items()))
            return Finished(files) if files else Lost(faults.lost(self._name))
        answer = await asked(self.http, self._name, "poll", path_of(ref))
        if answer.status == 404:
            return Lost(faults.lost(self._name, 404))
        if not answer.ok:
            raise ProviderUnreachable(self._fault(answer))
        status = answer.text("status")
        if status == "succeeded":
            return self._video(answer.fields)
        if status == "failed":
            return Failed(self._classified(code_of(answer.fields)) or faults.failed(self._name))
        if status == "cancelled":
            return CanceledUpstream()
        if status == "expired":
            return Failed(faults.timed_out(self._name))
        if status in ("queued", "running"):
            return Pending(self._info.min_poll_seconds)
        raise ProviderUnreachable(faults.invalid_response(self._name, answer.status))

    async def cancel(self, ref: ProviderRef) -> CancelOutcome:
        """Takes a task out of the queue. A running one cannot be stopped.

        The call that does it destroys the record of a task that has ended, so it is made for a queued one only.
        """
        if ref.job_id.startswith(_IMAGES):
            return CancelOutcome.NOT_SUPPORTED
        before = await self._status(ref)
        if before != "queued":
            return _NOT_QUEUED.get(before, CancelOutcome.FAILED)
        try:
            answer = await self.http.call("cancel", "DELETE", path_of(ref))
        except NothingSent:
            return CancelOutcome.FAILED
        except NoAnswer:
            return CancelOutcome.SENT_UNCONFIRMED
        if not answer.ok:
            return CancelOutcome.FAILED
        # It may have begun, and even ended, since it was seen in the queue.
        after = await self._status(ref)
        return CancelOutcome.SENT_CONFIRMED if after == "cancelled" else CancelOutcome.SENT_UNCONFIRMED

    async def find(self, job: Job, since: datetime) -> tuple[ProviderRef, ...] | None:
        """Looks through the list of tasks for the one with this attempt's mark. Images are on no list."""
        if job.provider_model.path != TASKS:
            return None
        # Their clock is not ours.
        oldest = (since - _CLOCK_MARGIN).timestamp()
        query = {"page_size": str(_PAGE_SIZE), "filter.model": str(native_of(job).get("model", ""))}
        seen = 0
        for number in range(1, _MOST_PAGES + 1):
            query["page_num"] = str(number)
            page = await asked(self.http, self._name, "find", TASKS, query=query)
            if not page.ok:
                raise ProviderUnreachable(self._fault(page))
            tasks, total = page.fields.get("items"), page.fields.get("total")
            if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
                raise ProviderUnreachable(faults.invalid_response(self._name, page.status))
            marked = [task for task in tasks if text_of(task, "safety_identifier") == mark_of(job)]
            if marked:
                ids = [text_of(task, "id") for task in marked]
                return tuple(ProviderRef(job_id, {}) for job_id in ids if JOB_ID.fullmatch(job_id)) or None
            if any(may_be_since(task, oldest) and not text_of(task, "safety_identifier") for task in tasks):
                # One that does not say whose it is may be the one.
                return None
            seen += len(tasks)
            if not tasks or (isinstance(total, int) and seen >= total) or is_all_older(tasks, oldest):
                return ()
        # Having stopped looking is no proof that there is nothing.
        return None

    async def verify_callback(self, headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        """BytePlus signs no report, and therefore is asked for none.

        Raises:
            CallbackRefused: always.
        """
        raise CallbackRefused("unsupported")

    async def _status(self, ref: ProviderRef) -> str:
        """The task's status; "gone" for one that is not known, empty when there is no usable answer."""
        try:
            answer = await asked(self.http, self._name, "cancel", path_of(ref))
        except ProviderUnreachable:
            return ""
        if answer.status == 404:
            return "gone"
        return answer.text("status") if answer.ok else ""

    def _images(self, job: Job, answer: Answer) -> Submission:
        """The images of an answer; each of them may have failed for a reason of its own."""
        listed = answer.fields.get("data")
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        urls = [url for entry in entries if is_url(url := entry.get("url"))]
        if urls:
            ref = ProviderRef(
                f"{_IMAGES}{job.attempt_id}", {f"{number:03}": url for number, url in enumerate(urls)}
            )
            return Done(ref, Finished(tuple(RemoteOutput(url, None) for url in urls)))
        codes = [code for part in (answer.fields, *entries) if (code := code_of(part))]
        if not codes:
            # It says that it made some, so we may be billed for them.
            return Unknown(faults.invalid_response(self._name, answer.status))
        named = [fault for code in codes if (fault := self._classified(code, answer.status)) is not None]
        return Refused(named[0] if named else faults.failed(self._name, answer.status))

    def _video(self, task: Mapping[str, object]) -> Progress:
        content = task.get("content")
        url = text_of(content, "video_url") if isinstance(content, dict) else ""
        if not is_url(url):
            return Failed(faults.invalid_response(self._name))
        return Finished((RemoteOutput(url, None),))

    def _fault(self, answer: Answer) -> Fault:
        wait = self.http.retry_after(answer)
        plain = faults.of_answer(self._name, answer, wait)
        if answer.status in (401, 402):
            return plain
        return self._classified(code_of(answer.fields), answer.status, wait) or plain

    def _classified(self, code: str, status: int | None = None, wait: float | None = None) -> Fault | None:
        """The fault that an error code names; None for one that says no more than the status does."""
        if _POLICY_WORD in code:
            return faults.content_policy(self._name, status)
        if any(word in code for word in _RATE_WORDS):
            return replace(faults.of_status(self._name, 429, wait), http_status=status)
        if any(word in code for word in _ACCOUNT_WORDS):
            return faults.account(self._name, status)
        if any(word in code for word in _UNAVAILABLE_WORDS):
            return faults.unavailable(self._name, status, wait)
        if any(word in code for word in _INVALID_WORDS):
            return replace(faults.of_status(self._name, 400), http_status=status)
        return None
