"""Black Forest Labs: tasks that are polled at the URL that the answer to a submit names, and that nothing can stop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote, urlsplit

from kit.clock import Clock, SystemClock
from server.catalog.types import ProviderInfo
from server.providers import faults
from server.providers.calls import asked, is_url, micros_of_credits, submitted
from server.providers.http import Answer, ProviderHttp, text_of
from server.providers.inline import encoded
from server.providers.mapping import native_parameters
from server.providers.protocol import (
    Accepted,
    CallbackFacts,
    CancelOutcome,
    Failed,
    Fault,
    Finished,
    Job,
    Lost,
    NotSent,
    Pending,
    Progress,
    ProviderRef,
    ProviderUnreachable,
    Refused,
    RemoteOutput,
    Submission,
    Unknown,
)
from server.providers.signatures import verify_bfl

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_POLL = "poll"
_HOST = re.compile(r"api(?:\.([a-z]+)[0-9]*)?\.bfl\.ai")
"""Hosts of the API: the global one, those of a region, and the clusters of a region such as api.eu2.bfl.ai."""
_RUNNING = frozenset({"Pending", "Reasoning", "Generating"})
_MODERATED = frozenset({"Request Moderated", "Content Moderated"})
_NOT_FOUND = "Task not found"
_IMAGE_PROMPT = "image_prompt"
"""A parameter that takes no URL, but the file itself in base64."""
# A refusal of the request itself has no status of its own.
_POLICY_WORDS = re.compile(r"\bmoderat(ed|ion)\b", re.IGNORECASE)


class BlackForestLabs:
    """The adapter. One instance serves every model; close its `http` when done."""

    def __init__(self, http: ProviderHttp, info: ProviderInfo, clock: Clock | None = None) -> None:
        self.http = http
        host = _host_of(http.base_url)
        # The global host's tasks can only be polled where its answer says, and with a callback it does not say.
        self._info = replace(info, callbacks=False) if host is not None and host[1] is None else info
        self._name = info.name
        self._clock = clock or SystemClock()

    @property
    def capabilities(self) -> ProviderInfo:
        """What the catalog says about Black Forest Labs, without callbacks at its global host."""
        return self._info

    async def submit(self, job: Job) -> Submission:
        """Creates a task on the region's host. What it costs is in the answer, and nowhere later."""
        body = _body(job)
        if _sends_its_file(job):
            if len(job.inputs) != len(job.request.input_file):
                return NotSent(faults.unsupported(self._name))
            try:
                body[_IMAGE_PROMPT] = await encoded(job.inputs[0])
            except OSError:
                return NotSent(faults.unsupported(self._name))
        answer = await submitted(self.http, self._name, f"v1/{job.provider_model.path}", body)
        if not isinstance(answer, Answer):
            return answer
        if not answer.ok:
            return Refused(self._fault(answer))
        job_id, polling_url = answer.text("id"), self._in_region(answer.fields.get("polling_url"))
        usable = polling_url is None or (isinstance(polling_url, str) and self._is_pollable(polling_url))
        if not _JOB_ID.fullmatch(job_id) or not usable:
            # It says that it made one, so one may be running.
            return Unknown(faults.invalid_response(self._name, answer.status))
        # Without a URL, as with a callback, the host that took the request is asked: it knows the task.
        urls = {_POLL: polling_url} if isinstance(polling_url, str) else {}
        return Accepted(ProviderRef(job_id, urls, cost_micros=micros_of_credits(answer.body, "cost")))

    async def poll(self, ref: ProviderRef) -> Progress:
        """Reads the task. One that was only just made may not be found yet: believe Lost only after some seconds."""
        answer = await asked(self.http, self._name, "poll", self._polling_url(ref))
        status = answer.text("status")
        if answer.status == 404 or status == _NOT_FOUND:
            return Lost(faults.lost(self._name, answer.status))
        if not answer.ok:
            raise ProviderUnreachable(self._fault(answer))
        if status in _RUNNING:
            return Pending(self._info.min_poll_seconds)
        if status == "Ready":
            return self._outcome(answer.fields.get("result"), ref.cost_micros)
        if status in _MODERATED:
            return Failed(faults.content_policy(self._name))
        if status == "Error":
            return Failed(faults.failed(self._name))
        raise ProviderUnreachable(faults.invalid_response(self._name, answer.status))

    async def cancel(self, ref: ProviderRef) -> CancelOutcome:
        """Black Forest Labs has no such call."""
        return CancelOutcome.NOT_SUPPORTED

    async def find(self, job: Job, since: datetime) -> tuple[ProviderRef, ...] | None:
        """Black Forest Labs has no list of tasks."""
        return None

    async def verify_callback(self, headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        """What a report that arrived is about; it is signed with the attempt's own secret.

        Raises:
            CallbackRefused: it cannot be trusted.
        """
        return verify_bfl(headers, body, secret, self._clock.now())

    def _outcome(self, result: object, cost_micros: int | None) -> Progress:
        url = text_of(result, "sample") if isinstance(result, dict) else ""
        if not is_url(url):
            return Failed(faults.invalid_response(self._name))
        return Finished((RemoteOutput(url, None),), cost_micros=cost_micros)

    def _polling_url(self, ref: ProviderRef) -> str:
        url = self._in_region(ref.urls.get(_POLL))
        if not isinstance(url, str):
            return f"v1/get_result?id={quote(ref.job_id, safe='')}"
        if not self._is_pollable(url):
            raise ProviderUnreachable(faults.invalid_response(self._name))
        return url

    def _in_region(self, url: object) -> object:
        # The global host may answer from anywhere, so a region's task is not asked for there: as if no URL were named.
        if not isinstance(url, str) or not self.http.is_ours(url):
            return url
        here, there = _host_of(self.http.base_url), _host_of(url)
        return None if here and here[1] and there and not there[1] else url

    def _is_pollable(self, url: str) -> bool:
        # The key goes to this URL, so it must be theirs, and the result comes from there, so it must be in the region.
        if not self.http.is_ours(url):
            return False
        here, there = _host_of(self.http.base_url), _host_of(url)
        if here is None:
            return True
        return there is not None and here[1] in (None, there[1])

    def _fault(self, answer: Answer) -> Fault:
        if answer.status == 400 and _POLICY_WORDS.search(answer.text("detail")):
            return faults.content_policy(self._name, 400)
        return faults.of_answer(self._name, answer, self.http.retry_after(answer))


def _host_of(url: str) -> re.Match[str] | None:
    """The host of a URL if it is one of the API's; its group is the region, or None for the global host."""
    return _HOST.fullmatch(urlsplit(url).hostname or "")


def _sends_its_file(job: Job) -> bool:
    return bool(job.request.input_file) and job.provider_model.fields["input_file"].to == f"@{_IMAGE_PROMPT}"


def _body(job: Job) -> dict[str, object]:
    body = native_parameters(job.model, job.provider_model, job.request, job.outputs)
    fields = job.provider_model.fields
    if "input_file" in fields and fields["input_file"].to == "@input_file":
        last = job.request.input_file_last_content
        frames = [*job.request.input_file, *([last] if last else [])]
        if frames:
            body |= {"mode": "i2v", "keyframes": frames}
    if job.callback_url is not None:
        body |= {"webhook_url": job.callback_url, "webhook_secret": job.callback_secret}
    return body
