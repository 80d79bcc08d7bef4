"""Cloudflare: models of its own and of others, run while the call waits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from server.catalog.types import ProviderInfo
from server.providers import faults
from server.providers.calls import is_url, submitted
from server.providers.http import (
    INLINE_ANSWER_BYTES,
    Answer,
    FormPart,
    ProviderHttp,
    text_of,
)
from server.providers.inline import decoded, file_part, value_parts
from server.providers.mapping import native_parameters
from server.providers.protocol import (
    CallbackFacts,
    CallbackRefused,
    CancelOutcome,
    Done,
    Fault,
    Finished,
    Job,
    Lost,
    NotSent,
    Progress,
    ProviderRef,
    Refused,
    RemoteOutput,
    Submission,
    Unknown,
)

_OWN_MODELS = "@cf/"
_MODELS_WITH_FORMS = "@cf/black-forest-labs/flux-2-"
_ONE_TRY = {"cf-aig-max-attempts": "1"}
"""A second try of the gateway in front of the models would be billed like a first one."""

# Why a code can stand where its status does not: an envelope that says success may hold an error.
_STATUS_BY_CODE = {
    "3003": 400,
    "3006": 413,
    "3030": 400,
    "3039": 400,
    "3042": 404,
    "5004": 400,
    "5005": 405,
    # It means that there is no such model: our catalog's mistake and not the request's.
    "5007": 404,
    "5019": 405,
    "8007": 400,
}
_GAVE_UP_CODES = frozenset({"3007", "3008"})
_NO_MONEY_CODE = "3036"
_NO_CAPACITY_CODE = "3040"
_NO_ACCESS_CODES = frozenset({"3023", "3041", "5016", "5018"})
"""The model's terms are not accepted, or it is not open to us; the others still are."""
# There is no error code for this: a model's error says it in words.
_POLICY_WORDS = re.compile(r"\bNSFW\b|content[ _]polic|sensitive content|flagged as|moderated", re.IGNORECASE)
_FILE_FIELDS = ("image", "video", "images", "videos")


class Cloudflare:
    """The adapter. One instance serves every model; close its `http`, whose base URL ends in the account's id."""

    def __init__(self, http: ProviderHttp, info: ProviderInfo) -> None:
        self.http = http
        self._info = info
        self._name = info.name

    @property
    def capabilities(self) -> ProviderInfo:
        """What the catalog says about Cloudflare."""
        return self._info

    async def submit(self, job: Job) -> Submission:
        """Runs a model. The call stays open until the outputs are made, which takes minutes for a video."""
        path = job.provider_model.path
        native = native_parameters(job.model, job.provider_model, job.request, job.outputs)
        form: list[FormPart] | None = None
        if path.startswith(_MODELS_WITH_FORMS):
            if len(job.inputs) != len(job.request.input_file):
                return NotSent(faults.unsupported(self._name))
            form = _form(job, native)
        try:
            answer = await submitted(
                self.http,
                self._name,
                f"ai/run/{path}" if path.startswith(_OWN_MODELS) else "ai/run",
                native if form is None else None,
                form=form,
                headers=_ONE_TRY,
                seconds=job.seconds,
                answer_bytes=INLINE_ANSWER_BYTES,
            )
        except OSError:
            return NotSent(faults.unsupported(self._name))
        if not isinstance(answer, Answer):
            return answer
        return await self._outcome(job, answer)

    async def poll(self, ref: ProviderRef) -> Progress:
        """There is nothing to ask: files that were named can still be fetched, files that were sent are gone."""
        files = tuple(RemoteOutput(url, None) for _, url in sorted(ref.urls.items()))
        return Finished(files) if files else Lost(faults.lost(self._name))

    async def cancel(self, ref: ProviderRef) -> CancelOutcome:
        """Cloudflare has no such call."""
        return CancelOutcome.NOT_SUPPORTED

    async def find(self, job: Job, since: datetime) -> tuple[ProviderRef, ...] | None:
        """Cloudflare has no list of runs."""
        return None

    async def verify_callback(self, headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        """Cloudflare reports nothing.

        Raises:
            CallbackRefused: always.
        """
        raise CallbackRefused("unsupported")

    async def _outcome(self, job: Job, answer: Answer) -> Submission:
        problems = tuple(_problems(answer.fields))
        if any(code in _GAVE_UP_CODES for code, _ in problems):
            return Unknown(faults.submit_unknown(self._name, answer.status))
        run = _run_of(answer.fields)
        state = text_of(run, "state")
        if not answer.ok or answer.fields.get("success") is False or state == "Failed":
            return Refused(self._fault(answer, problems))
        outputs = await _outputs(answer, run) if state in ("", "Completed") else ()
        if not outputs:
            # It says that it ran the model, so we may be billed for it.
            return Unknown(faults.invalid_response(self._name, answer.status))
        urls = {f"{number:03}": output.url for number, output in enumerate(outputs) if output.url}
        # Part of the files can be fetched again, or all of them: a part would look like the whole.
        ref = ProviderRef(str(job.attempt_id), urls if len(urls) == len(outputs) else {})
        return Done(ref, Finished(outputs))

    def _fault(self, answer: Answer, problems: tuple[tuple[str, str], ...]) -> Fault:
        codes = {code for code, _ in problems}
        status, wait = answer.status, self.http.retry_after(answer)
        if _NO_MONEY_CODE in codes:
            return faults.account(self._name, status)
        if _NO_CAPACITY_CODE in codes or codes & _NO_ACCESS_CODES:
            return faults.unavailable(self._name, status, wait)
        if (answer.ok or status in (400, 422)) and any(_POLICY_WORDS.search(words) for _, words in problems):
            return faults.content_policy(self._name, status)
        for code in sorted(codes & set(_STATUS_BY_CODE)):
            return replace(faults.of_status(self._name, _STATUS_BY_CODE[code], wait), http_status=status)
        return faults.failed(self._name, status) if answer.ok else faults.of_answer(self._name, answer, wait)


def _form(job: Job, native: Mapping[str, object]) -> list[FormPart]:
    files = [file_part(f"input_image_{position}", file) for position, file in enumerate(job.inputs)]
    return value_parts(native) + files


def _run_of(fields: Mapping[str, object]) -> Mapping[str, object]:
    """The run itself, which may or may not have the API's envelope around it."""
    inner = fields.get("result")
    return inner if "state" not in fields and isinstance(inner, dict) and "state" in inner else fields


def _problems(fields: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Code and words of every error that an answer names, in its envelope or in the run."""
    listed = fields.get("errors")
    found = [*(listed if isinstance(listed, list) else []), fields.get("error"), _run_of(fields).get("error")]
    for problem in found:
        if isinstance(problem, dict):
            yield str(problem.get("code", "")), text_of(problem, "message")
        elif isinstance(problem, str):
            yield "", problem


async def _outputs(answer: Answer, run: Mapping[str, object]) -> tuple[RemoteOutput, ...]:
    """The files of an answer that says success: itself, or in its fields as URLs or in base64."""
    if answer.content:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        return (RemoteOutput("", kind if "octet" not in kind else None, answer.content),)
    result = run.get("result")
    outputs: list[RemoteOutput] = []
    for name in _FILE_FIELDS if isinstance(result, dict) else ():
        value = result.get(name) if isinstance(result, dict) else None
        for file in value if isinstance(value, list) else [value]:
            if is_url(file):
                outputs.append(RemoteOutput(file, None))
            elif (content := await decoded(file)) is not None:
                outputs.append(RemoteOutput("", None, content))
    return tuple(outputs)
