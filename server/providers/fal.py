"""Fal: a request queue that names three URLs per job, for its status, its result and its cancelation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from babysea.common.v1 import error_reason_pb2 as reasons
from kit.clock import Clock, SystemClock
from server.catalog.types import ProviderInfo
from server.providers import faults
from server.providers.calls import asked, is_url, submitted
from server.providers.http import Answer, NoAnswer, NothingSent, ProviderHttp, seconds_of, text_of
from server.providers.mapping import native_parameters
from server.providers.protocol import (
    Accepted,
    CallbackFacts,
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
from server.providers.signatures import FalSignatures

KEYS_URL = "https://rest.fal.ai/.well-known/jwks.json"
"""Where Fal publishes the keys that it signs reports with."""
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_URLS = {"status": "status_url", "result": "response_url", "cancel": "cancel_url"}
_POLICY = "content_policy_violation"
_CANCELED = frozenset({"client_cancelled", "client_canceled"})
_NOT_THE_RESULT = faults.AMBIGUOUS_STATUSES | {429, 503}
_TIMED_OUT = frozenset({"request_timeout", "generation_timeout", "startup_timeout"})
_INPUT_FAULTS = {
    "image_too_large": reasons.ERROR_REASON_FILE_TOO_LARGE,
    "image_too_small": reasons.ERROR_REASON_FILE_TOO_SMALL,
    "image_load_error": reasons.ERROR_REASON_FILE_LOAD_ERROR,
    "unsupported_image_format": reasons.ERROR_REASON_UNSUPPORTED_FILE_FORMAT,
    "file_too_large": reasons.ERROR_REASON_FILE_SIZE_EXCEEDED,
    "file_download_error": reasons.ERROR_REASON_FILE_DOWNLOAD_ERROR,
}


def keys_url_of(base_url: str, info: ProviderInfo) -> str:
    """Where the keys of reports are that an API at this base URL sends: Fal's own, or beside an API elsewhere."""
    return KEYS_URL if base_url in info.endpoints.values() else f"{base_url}/.well-known/jwks.json"


class Fal:
    """The adapter. One instance serves every model; close its `http` when done.

    `keys_url` must lie within what `http` knows as Fal's own, or no report is ever believed. Empty means Fal's, or for
    an API elsewhere, such as the sandbox, the same path there.
    """

    def __init__(
        self, http: ProviderHttp, info: ProviderInfo, keys_url: str = "", clock: Clock | None = None
    ) -> None:
        self.http = http
        self._info = info
        self._name = info.name
        self._signatures = FalSignatures(
            http, info.name, keys_url or keys_url_of(http.base_url, info), clock or SystemClock()
        )

    @property
    def capabilities(self) -> ProviderInfo:
        """What the catalog says about Fal."""
        return self._info

    async def submit(self, job: Job) -> Submission:
        """Puts a request into the queue. A request that has not begun at the deadline is dropped by Fal itself."""
        query = {"fal_webhook": job.callback_url} if job.callback_url is not None else None
        answer = await submitted(
            self.http,
            self._name,
            job.provider_model.path_for(with_files=bool(job.request.input_file)),
            native_parameters(job.model, job.provider_model, job.request, job.outputs),
            query=query,
            headers={"X-Fal-Request-Timeout": str(job.model.deadline_seconds)},
        )
        if not isinstance(answer, Answer):
            return answer
        if not answer.ok:
            return Refused(self._fault(answer))
        ref = ProviderRef(
            answer.text("request_id"), {name: answer.text(field) for name, field in _URLS.items()}
        )
        if not self._is_usable(ref):
            # It says that it queued one, so one may be running.
            return Unknown(faults.invalid_response(self._name, answer.status))
        return Accepted(ref)

    async def poll(self, ref: ProviderRef) -> Progress:
        """Reads the status and, once completed, the result."""
        answer = await self._ask(ref, "poll", "status")
        if answer.status == 404:
            return Lost(faults.lost(self._name, 404))
        if not answer.ok:
            raise ProviderUnreachable(self._fault(answer))
        status = answer.text("status")
        if status in ("IN_QUEUE", "IN_PROGRESS"):
            return Pending(self._info.min_poll_seconds)
        if status != "COMPLETED":
            raise ProviderUnreachable(faults.invalid_response(self._name, answer.status))
        error_type = answer.text("error_type")
        if error_type:
            return self._ended(error_type)
        if answer.fields.get("error"):
            return await self._untyped_error(ref)
        return await self._result(ref, seconds_of(answer.fields.get("metrics"), "inference_time"))

    async def cancel(self, ref: ProviderRef) -> CancelOutcome:
        """Takes the request out of the queue or, when it runs, signals the runner, which may ignore it."""
        if not self._is_usable(ref):
            return CancelOutcome.FAILED
        try:
            answer = await self.http.call("cancel", "PUT", ref.urls["cancel"])
        except (NothingSent, NoAnswer):
            return CancelOutcome.FAILED
        word = answer.text("status")
        if answer.ok:
            return CancelOutcome.SENT_CONFIRMED if word == "OK" else CancelOutcome.SENT_UNCONFIRMED
        final = answer.status == 404 or word in ("ALREADY_COMPLETED", "NOT_FOUND")
        return CancelOutcome.ALREADY_FINAL if final else CancelOutcome.FAILED

    async def find(self, job: Job, since: datetime) -> tuple[ProviderRef, ...] | None:
        """Fal has no list of requests."""
        return None

    async def verify_callback(self, headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        """What a report that arrived is about; it is signed with one of Fal's published keys.

        Raises:
            CallbackRefused: it cannot be trusted.
            ProviderUnreachable: the keys cannot be had now.
        """
        return await self._signatures.verify(headers, body)

    async def _result(self, ref: ProviderRef, run_seconds: float | None) -> Progress:
        answer = await self._ask(ref, "result", "result")
        if answer.ok:
            return self._outputs(answer.fields, run_seconds)
        if answer.status == 404:
            return Lost(faults.output_gone(self._name, 404))
        kinds = _error_types(answer)
        # The queue passes the model's own errors on with any status. Without a type these are of what stands before it.
        if not kinds and answer.status in _NOT_THE_RESULT:
            raise ProviderUnreachable(self._fault(answer))
        return self._ended(*kinds, status=answer.status)

    async def _untyped_error(self, ref: ProviderRef) -> Progress:
        """The end of a job that failed without a word of why: what is in the result's place may say."""
        answer = await self._ask(ref, "result", "result")
        if answer.status in (429, 503):
            raise ProviderUnreachable(self._fault(answer))
        return self._ended() if answer.ok else self._ended(*_error_types(answer), status=answer.status)

    def _outputs(self, result: Mapping[str, object], run_seconds: float | None) -> Progress:
        images = result.get("images")
        files = images if isinstance(images, list) else [result.get("video") or result.get("image")]
        flags = result.get("has_nsfw_concepts")
        flagged = [flag is True for flag in flags] if isinstance(flags, list) else []
        flagged += [False] * (len(files) - len(flagged))
        outputs: list[RemoteOutput] = []
        for file, is_flagged in zip(files, flagged, strict=False):
            url = text_of(file, "url") if isinstance(file, dict) else ""
            if not is_url(url):
                return Failed(faults.invalid_response(self._name))
            if not is_flagged:
                outputs.append(RemoteOutput(url, text_of(file, "content_type") or None))
        if outputs:
            return Finished(tuple(outputs), run_seconds)
        # A flagged picture is delivered as a success and must not be charged as one.
        refused = any(flagged)
        return Failed((faults.content_policy if refused else faults.invalid_response)(self._name))

    def _ended(self, *kinds: str, status: int | None = None) -> Progress:
        found = set(kinds)
        if found & _CANCELED:
            return CanceledUpstream()
        if found & _TIMED_OUT:
            return Failed(faults.timed_out(self._name, status))
        return Failed(self._classified(found, status) or faults.failed(self._name, status))

    def _fault(self, answer: Answer) -> Fault:
        named = self._classified(_error_types(answer), answer.status)
        if named is not None and answer.status == 422:
            return named
        return faults.of_answer(self._name, answer, self.http.retry_after(answer))

    def _classified(self, kinds: set[str], status: int | None) -> Fault | None:
        """The fault that Fal's error types name; None when they say no more than the status does."""
        if _POLICY in kinds:
            return faults.content_policy(self._name, status)
        for kind in sorted(kinds & set(_INPUT_FAULTS)):
            return Fault(
                FaultKind.REQUEST, _INPUT_FAULTS[kind], f"{self._name} could not use an input file.", status
            )
        return faults.of_status(self._name, 422) if status == 422 else None

    async def _ask(self, ref: ProviderRef, verb: str, which: str) -> Answer:
        if not self._is_usable(ref):
            raise ProviderUnreachable(faults.invalid_response(self._name))
        return await asked(self.http, self._name, verb, ref.urls[which])

    def _is_usable(self, ref: ProviderRef) -> bool:
        # The key goes to these URLs, so they must be Fal's.
        named = all(self.http.is_ours(ref.urls.get(name, "")) for name in _URLS)
        return named and _JOB_ID.fullmatch(ref.job_id) is not None


def _error_types(answer: Answer) -> set[str]:
    """Every error type that an answer names, in its headers or in either shape of its body."""
    detail = answer.fields.get("detail")
    kinds = (
        [text_of(each, "type") for each in detail if isinstance(each, dict)]
        if isinstance(detail, list)
        else []
    )
    kinds += [answer.headers.get("x-fal-error-type", ""), answer.text("error_type")]
    if answer.headers.get("x-fal-request-timeout-type"):
        kinds.append("request_timeout")
    return {kind for kind in kinds if kind}
