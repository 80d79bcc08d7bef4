"""OpenAI: images that are made while the call waits, and come inside of its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from server.catalog.types import ProviderInfo
from server.providers import faults
from server.providers.calls import submitted
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

_POLICY_TYPE = "image_generation_user_error"
_POLICY_CODES = frozenset(
    {"moderation_blocked", "content_policy_violation", "image_content_policy_violation"}
)
_ACCOUNT_CODES = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated"}
)
_CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_NOT_FOR_EDITS = frozenset({"moderation"})
"""Parameters that the route with input files does not have."""


class OpenAI:
    """The adapter. One instance serves every model; close its `http` when done."""

    def __init__(self, http: ProviderHttp, info: ProviderInfo) -> None:
        self.http = http
        self._info = info
        self._name = info.name

    @property
    def capabilities(self) -> ProviderInfo:
        """What the catalog says about OpenAI."""
        return self._info

    async def submit(self, job: Job) -> Submission:
        """Has the images made. What they cost follows from the catalog: it knows no price of a token."""
        native = native_parameters(job.model, job.provider_model, job.request, job.outputs)
        if not job.request.input_file:
            return await self._make(job, "images/generations", content=native)
        if len(job.inputs) != len(job.request.input_file):
            return NotSent(faults.unsupported(self._name))
        return await self._make(job, "images/edits", form=_edit_form(job, native))

    async def poll(self, ref: ProviderRef) -> Progress:
        """Nothing can be asked for again: what a call did not bring is gone."""
        return Lost(faults.lost(self._name))

    async def cancel(self, ref: ProviderRef) -> CancelOutcome:
        """OpenAI has no such call."""
        return CancelOutcome.NOT_SUPPORTED

    async def find(self, job: Job, since: datetime) -> tuple[ProviderRef, ...] | None:
        """OpenAI has no list of what it made."""
        return None

    async def verify_callback(self, headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        """OpenAI reports nothing about images.

        Raises:
            CallbackRefused: always.
        """
        raise CallbackRefused("unsupported")

    async def _make(
        self,
        job: Job,
        route: str,
        *,
        content: Mapping[str, object] | None = None,
        form: Sequence[FormPart] | None = None,
    ) -> Submission:
        try:
            answer = await submitted(
                self.http,
                self._name,
                route,
                content,
                form=form,
                seconds=job.seconds,
                answer_bytes=INLINE_ANSWER_BYTES,
            )
        except OSError:
            return NotSent(faults.unsupported(self._name))
        if not isinstance(answer, Answer):
            return answer
        if not answer.ok:
            return Refused(self._fault(answer))
        outputs = await _outputs(answer)
        if not outputs:
            # It says that it made some, so we may be billed for them.
            return Unknown(faults.invalid_response(self._name, answer.status))
        return Done(ProviderRef(str(job.attempt_id), {}), Finished(outputs))

    def _fault(self, answer: Answer) -> Fault:
        error = answer.fields.get("error")
        kind, code = (text_of(error, "type"), text_of(error, "code")) if isinstance(error, dict) else ("", "")
        blocked = code in _POLICY_CODES or (kind == _POLICY_TYPE and not code)
        if answer.status == 400 and blocked:
            return faults.content_policy(self._name, 400)
        if code in _ACCOUNT_CODES or kind in _ACCOUNT_CODES:
            return faults.account(self._name, answer.status)
        return faults.of_answer(self._name, answer, self.http.retry_after(answer))


def _edit_form(job: Job, native: Mapping[str, object]) -> list[FormPart]:
    values = {name: value for name, value in native.items() if name not in _NOT_FOR_EDITS}
    return value_parts(values) + [file_part("image[]", file) for file in job.inputs]


async def _outputs(answer: Answer) -> tuple[RemoteOutput, ...]:
    """The pictures in an answer; those that are none are left out."""
    entries = answer.fields.get("data")
    content_type = _CONTENT_TYPES.get(answer.text("output_format"))
    outputs: list[RemoteOutput] = []
    for entry in entries if isinstance(entries, list) else []:
        content = await decoded(entry.get("b64_json")) if isinstance(entry, dict) else None
        if content is not None:
            outputs.append(RemoteOutput("", content_type, content))
    return tuple(outputs)
