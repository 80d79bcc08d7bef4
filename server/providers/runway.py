"""Runway: tasks that are polled, and that a DELETE stops or, once they have ended, removes together with their output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from babysea.common.v1 import error_reason_pb2 as reasons
from server.catalog.types import ProviderInfo
from server.providers import faults
from server.providers.calls import asked, is_url, micros_of_credits, submitted
from server.providers.http import Answer, NoAnswer, NothingSent, ProviderHttp
from server.providers.mapping import native_parameters
from server.providers.protocol import (
    Accepted,
    CallbackFacts,
    CallbackRefused,
    CanceledUpstream,
    CancelOutcome,
    Failed,
    Fault,
    FaultKind,
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

_VERSION = {"X-Runway-Version": "2024-11-06"}
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LEAST_POLL_SECONDS = 5.0
_QUEUED = frozenset({"PENDING", "THROTTLED"})
_ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
# There are no error codes for these: the answer says it in words, at its beginning, before it could quote a prompt.
_NO_MONEY = re.compile(
    r"(you do(n't| not) have enough|not enough|insufficient|out of) credits?\b", re.IGNORECASE
)
_POLICY_WORDS = re.compile(r"\bmoderat(ed|ion)\b", re.IGNORECASE)
_DAILY_CAP = re.compile(r"\bdaily\b", re.IGNORECASE)


class Runway:
    """The adapter. One instance serves every model; close its `http` when done."""

    def __init__(self, http: ProviderHttp, info: ProviderInfo) -> None:
        self.http = http
        self._info = info
        self._name = info.name
        self._pending = Pending(max(info.min_poll_seconds, _LEAST_POLL_SECONDS))

    @property
    def capabilities(self) -> ProviderInfo:
        """What the catalog says about Runway."""
        return self._info

    async def submit(self, job: Job) -> Submission:
        """Creates a task. What it will cost is in the answer, and in that of the last poll."""
        route = _route(job)
        answer = await submitted(self.http, self._name, f"v1/{route}", _body(job, route), headers=_VERSION)
        if not isinstance(answer, Answer):
            return answer
        if not answer.ok:
            return Refused(self._fault(answer))
        job_id = answer.text("id")
        if not _JOB_ID.fullmatch(job_id):
            # It says that it made one, so one may be running.
            return Unknown(faults.invalid_response(self._name, answer.status))
        cost = micros_of_credits(answer.fields.get("estimatedCost"), "credits")
        return Accepted(ProviderRef(job_id, {}, cost_micros=cost))

    async def poll(self, ref: ProviderRef) -> Progress:
        """Reads the task. Not more than once in five seconds is allowed."""
        answer = await self._task("poll", ref)
        if answer.status == 404:
            return Lost(faults.lost(self._name, 404))
        if not answer.ok:
            raise ProviderUnreachable(self._fault(answer))
        status = answer.text("status")
        if status in _QUEUED or status == "RUNNING":
            return self._pending
        if status == "SUCCEEDED":
            return self._outcome(answer)
        if status == "FAILED":
            return Failed(self._failure(answer.text("failureCode")))
        if status == "CANCELLED":
            # One that ran is not refunded. One that waited is known to be stopped without being asked about again.
            return CanceledUpstream(may_be_billed=True)
        raise ProviderUnreachable(faults.invalid_response(self._name, answer.status))

    async def cancel(self, ref: ProviderRef) -> CancelOutcome:
        """Stops a task that has not ended. One that has would be deleted, so its state is read first."""
        try:
            task = await self._task("cancel", ref)
        except ProviderUnreachable:
            return CancelOutcome.FAILED
        status = task.text("status")
        if task.status == 404 or (task.ok and status in _ENDED):
            return CancelOutcome.ALREADY_FINAL
        if not task.ok or (status not in _QUEUED and status != "RUNNING"):
            return CancelOutcome.FAILED
        try:
            answer = await self.http.call("cancel", "DELETE", _path(ref), headers=_VERSION)
        except (NothingSent, NoAnswer):
            return CancelOutcome.FAILED
        if answer.status == 404:
            return CancelOutcome.ALREADY_FINAL
        if not answer.ok:
            return CancelOutcome.FAILED
        # One that runs is billed, and may run on.
        return CancelOutcome.SENT_CONFIRMED if status in _QUEUED else CancelOutcome.SENT_UNCONFIRMED

    async def find(self, job: Job, since: datetime) -> tuple[ProviderRef, ...] | None:
        """Runway has no list of tasks."""
        return None

    async def verify_callback(self, headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        """Runway sends no reports.

        Raises:
            CallbackRefused: always.
        """
        raise CallbackRefused("unsupported")

    async def _task(self, verb: str, ref: ProviderRef) -> Answer:
        return await asked(self.http, self._name, verb, _path(ref), headers=_VERSION)

    def _outcome(self, answer: Answer) -> Progress:
        files = answer.fields.get("output")
        if not isinstance(files, list) or not files or not all(is_url(file) for file in files):
            return Failed(faults.invalid_response(self._name))
        cost = micros_of_credits(answer.fields.get("cost"), "credits")
        return Finished(tuple(RemoteOutput(file, None) for file in files), cost_micros=cost)

    def _failure(self, code: str) -> Fault:
        parts = code.upper().split(".")
        if "SAFETY" in parts:
            return faults.content_policy(self._name)
        if parts[0] == "ASSET":
            return Fault(
                FaultKind.REQUEST,
                reasons.ERROR_REASON_FILE_LOAD_ERROR,
                f"{self._name} could not use an input file.",
            )
        return faults.failed(self._name)

    def _fault(self, answer: Answer) -> Fault:
        said = answer.text("error")
        broke = answer.status == 400 and _NO_MONEY.match(said)
        spent = answer.status == 429 and _DAILY_CAP.search(said)
        if broke or spent:
            return faults.account(self._name, answer.status)
        if answer.status == 400 and _POLICY_WORDS.search(said):
            return faults.content_policy(self._name, 400)
        return faults.of_answer(self._name, answer, self.http.retry_after(answer))


def _route(job: Job) -> str:
    """The way to the model: the first that the catalog names takes files, the last takes none."""
    routes = job.provider_model.path.split(";")
    with_files = job.request.input_file or job.request.input_file_last_content
    return routes[0] if with_files else routes[-1]


def _body(job: Job, route: str) -> dict[str, object]:
    body = native_parameters(job.model, job.provider_model, job.request, job.outputs)
    files, last = job.request.input_file, job.request.input_file_last_content
    if route != "image_to_video":
        return body | {"referenceImages": [{"uri": url} for url in files]} if files else body
    if len(files) == 1 and not last:
        return body | {"promptImage": files[0]}
    frames = [{"uri": url, "position": "first"} for url in files[:1]]
    if last:
        frames.append({"uri": last, "position": "last"})
    return body | {"promptImage": frames}


def _path(ref: ProviderRef) -> str:
    if not _JOB_ID.fullmatch(ref.job_id):
        raise ValueError("a job id that Runway cannot have given")
    return f"v1/tasks/{ref.job_id}"
