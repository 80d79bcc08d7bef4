"""Alibaba Cloud Model Studio: tasks for most models, and a call that answers at once for some image models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import cast

from kit.clock import Clock, SystemClock
from server.catalog.types import ProviderInfo
from server.providers import faults
from server.providers.alibaba_answers import classified, echoed_prompt, files_of, output_of, run_seconds
from server.providers.alibaba_tasks import NOT_ENDED, TaskList
from server.providers.calls import asked, submitted
from server.providers.http import Answer, NoAnswer, NothingSent, ProviderHttp, text_of
from server.providers.mapping import native_parameters
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

_AT_ONCE = "services/aigc/multimodal-generation/generation"
"""The one service that makes no task."""
_ASYNC = {"X-DashScope-Async": "enable"}
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"})


class Alibaba:
    """The adapter. One instance serves every model; close its `http` when done."""

    def __init__(self, http: ProviderHttp, info: ProviderInfo, clock: Clock | None = None) -> None:
        self.http = http
        self._info = info
        self._name = info.name
        self._tasks = TaskList(http, info.name, clock or SystemClock())

    @property
    def capabilities(self) -> ProviderInfo:
        """What the catalog says about Alibaba Cloud."""
        return self._info

    async def submit(self, job: Job) -> Submission:
        """Creates a task, or has the pictures made while the call waits."""
        path = job.provider_model.path
        at_once = path == _AT_ONCE
        answer = await submitted(
            self.http,
            self._name,
            path,
            _body(job),
            headers=None if at_once else _ASYNC,
            seconds=job.seconds if at_once else None,
        )
        if not isinstance(answer, Answer):
            return answer
        job_id = text_of(output_of(answer), "task_id")
        if answer.ok and _JOB_ID.fullmatch(job_id):
            return Accepted(ProviderRef(job_id, {}))
        if not answer.ok or answer.text("code"):
            return Refused(self._fault(answer))
        files = files_of(output_of(answer)).urls if at_once else ()
        if files:
            outputs = tuple(RemoteOutput(url, None) for url in files)
            return Done(ProviderRef(str(job.attempt_id), {}), Finished(outputs))
        # It says that it did something, so we may be billed for it.
        return Unknown(faults.invalid_response(self._name, answer.status))

    async def poll(self, ref: ProviderRef) -> Progress:
        """Reads the task."""
        answer = await asked(self.http, self._name, "poll", _path(ref))
        if answer.status == 404:
            return Lost(faults.lost(self._name, 404))
        output = output_of(answer)
        status = text_of(output, "task_status")
        if not answer.ok or not status:
            raise ProviderUnreachable(self._fault(answer))
        if status in NOT_ENDED:
            return Pending(self._info.min_poll_seconds)
        if status == "SUCCEEDED":
            return self._outcome(output)
        if status == "FAILED":
            return Failed(self._failure(text_of(output, "code")))
        if status == "CANCELED":
            return CanceledUpstream()
        if status == "UNKNOWN":
            return Lost(faults.lost(self._name))
        raise ProviderUnreachable(faults.invalid_response(self._name, answer.status))

    async def cancel(self, ref: ProviderRef) -> CancelOutcome:
        """Takes a task out of the queue. One that has begun cannot be stopped."""
        try:
            answer = await self.http.call("cancel", "POST", f"{_path(ref)}/cancel")
        except (NothingSent, NoAnswer):
            return CancelOutcome.FAILED
        code = answer.text("code")
        if answer.ok and not code:
            known = isinstance(answer.body, dict)
            return CancelOutcome.SENT_CONFIRMED if known else CancelOutcome.SENT_UNCONFIRMED
        if answer.status == 404:
            return CancelOutcome.ALREADY_FINAL
        if code != "UnsupportedOperation":
            return CancelOutcome.FAILED
        try:
            task = await asked(self.http, self._name, "cancel", _path(ref))
        except ProviderUnreachable:
            return CancelOutcome.FAILED
        ended = task.ok and text_of(output_of(task), "task_status") in _ENDED
        return CancelOutcome.ALREADY_FINAL if ended else CancelOutcome.FAILED

    async def find(self, job: Job, since: datetime) -> tuple[ProviderRef, ...] | None:
        """Looks through the list of tasks, which says neither prompt nor parameters, only model and time.

        So a task counts as this one only where its result repeats the very prompt and there were no input files: a
        guess could hand one customer's pictures to another. None when nobody can tell.

        Raises:
            ProviderUnreachable: there was no usable answer, or a task has not ended and may be this one.
        """
        model = str(job.provider_model.constants.get("model", ""))
        if job.provider_model.path == _AT_ONCE or not model:
            return None
        candidates = await self._tasks.of_model(model, since)
        if candidates is None:
            return None
        found: list[ProviderRef] = []
        for job_id in candidates:
            same = await self._is_same(job_id, job) if _JOB_ID.fullmatch(job_id) else None
            if same is None:
                return None
            if same:
                found.append(ProviderRef(job_id, {}))
        return tuple(found)

    async def verify_callback(self, headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        """Alibaba Cloud reports to its own event bus only.

        Raises:
            CallbackRefused: always.
        """
        raise CallbackRefused("unsupported")

    async def _is_same(self, job_id: str, job: Job) -> bool | None:
        """Whether a task that succeeded is this job's; None when nobody can tell."""
        answer = await asked(self.http, self._name, "find", f"tasks/{job_id}")
        if not answer.ok:
            raise ProviderUnreachable(self._fault(answer))
        said, wanted = echoed_prompt(output_of(answer)).split(), job.request.prompt.split()
        if not said:
            return None
        if said == wanted:
            return None if job.request.input_file or job.request.input_file_last_content else True
        # What begins alike may have been cut.
        return None if " ".join(wanted).startswith(" ".join(said)) else False

    def _outcome(self, output: Mapping[str, object]) -> Progress:
        files = files_of(output)
        if files.urls:
            outputs = tuple(RemoteOutput(url, None) for url in files.urls)
            return Finished(outputs, run_seconds(output))
        # Every picture of a batch can be refused by itself.
        return Failed(self._failure(files.codes[0]) if files.codes else faults.invalid_response(self._name))

    def _failure(self, code: str) -> Fault:
        return classified(self._name, code) or faults.failed(self._name)

    def _fault(self, answer: Answer) -> Fault:
        wait = self.http.retry_after(answer)
        named = classified(self._name, answer.text("code"), answer.status, wait)
        if named is not None:
            return named
        if answer.ok:
            return faults.invalid_response(self._name, answer.status)
        return faults.of_answer(self._name, answer, wait)


def _body(job: Job) -> dict[str, object]:
    body = native_parameters(job.model, job.provider_model, job.request, job.outputs)
    inner = cast("dict[str, object]", body.setdefault("input", {}))
    body.setdefault("parameters", {})
    request, fields = job.request, job.provider_model.fields
    if fields["prompt"].to.startswith("@"):
        content = [{"image": url} for url in request.input_file] + [{"text": request.prompt}]
        inner["messages"] = [{"role": "user", "content": content}]
        return body
    kind = "first_frame" if len(request.input_file) == 1 else "reference_image"
    media = [{"type": kind, "url": url} for url in request.input_file]
    if request.input_file_last_content:
        media.append({"type": "last_frame", "url": request.input_file_last_content})
    if media:
        inner["media"] = media
    return body


def _path(ref: ProviderRef) -> str:
    if not _JOB_ID.fullmatch(ref.job_id):
        raise ValueError("a job id that Alibaba Cloud cannot have given")
    return f"tasks/{ref.job_id}"
