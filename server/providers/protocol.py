"""What every provider adapter can be asked, and the words in which it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from pathlib import Path
from typing import Protocol
from uuid import UUID

from babysea.common.v1.error_reason_pb2 import ErrorReason
from server.catalog.types import Model, ProviderInfo, ProviderModel
from server.generation.request import GenerationRequest


class FaultKind(StrEnum):
    """Whose fault it was, which decides about failover and about the provider's health."""

    PROVIDER = "provider"
    """The provider's: the next one may do better."""
    REQUEST = "request"
    """The request's: no other provider would do better."""
    CONTENT_POLICY = "content_policy"
    """Refused by a safety filter: no failover unless the customer opted in."""
    ACCOUNT = "account"
    """Our account at the provider cannot be used: every model there is out, the customer is not to blame."""
    THROTTLED = "throttled"
    """The provider limits us: the next one may do better."""
    UNSUPPORTED = "unsupported"
    """The provider cannot serve this request, so nothing was sent: the next one may."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a provider did not do what it was asked."""

    kind: FaultKind
    reason: ErrorReason.ValueType
    message: str
    """One sentence in our own words: the provider's text may quote the prompt."""
    http_status: int | None = None
    """Status of the provider's answer; None when there was none."""
    retry_after: float | None = None
    """Seconds for which the provider asked to be left alone."""


@dataclass(frozen=True, slots=True)
class ProviderRef:
    """How a job is found again at its provider."""

    job_id: str
    urls: Mapping[str, str]
    """URLs that the provider named for the job; empty where they are made from the id."""
    parts: tuple[ProviderRef, ...] = ()
    """The jobs that together are this one; empty for a single one."""
    cost_micros: int | None = None
    """What the provider said when it took the job that it bills us for it, in micro-dollars."""

    def to_json(self) -> str:
        """The reference as text."""
        return json.dumps(self._fields(), sort_keys=True)

    def _fields(self) -> dict[str, object]:
        fields: dict[str, object] = {"job_id": self.job_id, "urls": dict(self.urls)}
        if self.parts:
            fields["parts"] = [part._fields() for part in self.parts]
        if self.cost_micros is not None:
            fields["cost_micros"] = self.cost_micros
        return fields

    @classmethod
    def from_json(cls, text: str) -> ProviderRef:
        """The reference that `to_json` wrote.

        Raises:
            ValueError: this is not such a text.
        """
        return cls._of_fields(json.loads(text))

    @classmethod
    def _of_fields(cls, content: object) -> ProviderRef:
        if not isinstance(content, dict) or not isinstance(content.get("job_id"), str):
            raise ValueError("not a stored provider reference")
        parts = tuple(cls._of_fields(part) for part in content.get("parts", ()))
        return cls(content["job_id"], dict(content.get("urls", {})), parts, content.get("cost_micros"))


@dataclass(frozen=True, slots=True)
class InputFile:
    """An input file of a request, fetched and checked."""

    path: Path
    content_type: str
    """What the bytes are, for example "image/png"."""
    width: int = 0
    """Pixels, as its header says."""
    height: int = 0
    """Pixels, as its header says."""
    sha256: bytes = b""
    size: int = 0
    """Bytes."""
    url: str = ""
    """Where the customer said that it is."""


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt to be made."""

    attempt_id: UUID
    request: GenerationRequest
    model: Model
    provider_model: ProviderModel
    outputs: int = 1
    """Files wanted of this one call; at most `provider_model.outputs_per_call` where that is not 0."""
    seconds: float = 30.0
    """Time for a call in which the provider makes the outputs while it is asked. Once it is over, nothing arrives."""
    callback_url: str | None = None
    """Where the provider may report; None when only polling is wanted."""
    callback_secret: str = ""
    """What the provider shall sign its report with, where it takes a secret with each request."""
    inputs: tuple[InputFile, ...] = ()
    """The request's input files in their order, for a provider that takes them along instead of their URLs."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider named a job."""

    ref: ProviderRef


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider answered with an error; no job exists."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing of the request left us; no job exists."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request was sent and no usable answer came: the job may or may not exist."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class RemoteOutput:
    """A finished file: at the provider, or in its answer."""

    url: str
    """Where it can be fetched; empty when `content` holds it."""
    content_type: str | None
    """What the provider says that it is; to be checked against the bytes."""
    content: bytes | None = None
    """The file itself, from a provider that sends it along."""


@dataclass(frozen=True, slots=True)
class Pending:
    """The job is queued or running; ask again after so many seconds."""

    retry_after: float
    ready: Finished | None = None
    """What is there already, of a job in several parts."""
    rest: ProviderRef | None = None
    """The parts that still go on, where others are ready."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The job has outputs: at least one, and not more than were asked for unless the provider errs."""

    outputs: tuple[RemoteOutput, ...]
    run_seconds: float | None = None
    """How long the provider says that the model ran."""
    cost_micros: int | None = None
    """What the provider says that it bills us, in micro-dollars."""
    unseen: int = 0
    """Further calls of the job that it may bill, and of which nothing can be had: they were stopped or got lost."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended without an output."""

    fault: Fault
    may_be_billed: bool = False
    """Whether a part of it, which was stopped or got lost, may be billed all the same."""


@dataclass(frozen=True, slots=True)
class CanceledUpstream:
    """The job was stopped, by us or by the provider's own deadline."""

    may_be_billed: bool = False
    """Whether the provider bills what it stopped in the middle."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The provider does not know the job, or has thrown its output away."""

    fault: Fault
    others: Finished | Failed | CanceledUpstream | None = None
    """What became of the other parts, where only some are lost: the outcome for whoever believes the loss."""


@dataclass(frozen=True, slots=True)
class Done:
    """The provider did the whole job while it was asked."""

    ref: ProviderRef
    finished: Finished


Submission = Accepted | Done | Refused | NotSent | Unknown

Progress = Pending | Finished | Failed | CanceledUpstream | Lost


def believed(progress: Progress) -> Progress:
    """The outcome for whoever takes a loss for certain: that of the other parts, where there are any."""
    return progress.others if isinstance(progress, Lost) and progress.others is not None else progress


class CancelOutcome(Enum):
    """What became of the wish to stop a job."""

    SENT_CONFIRMED = "sent_confirmed"
    """The provider says that the job is stopped."""
    SENT_UNCONFIRMED = "sent_unconfirmed"
    """The provider took note; the job may finish all the same."""
    ALREADY_FINAL = "already_final"
    """There was nothing left to stop."""
    NOT_SUPPORTED = "not_supported"
    """The provider has no such call."""
    FAILED = "failed"
    """The call did not get through."""


class ProviderUnreachable(Exception):  # noqa: N818
    """A question about an existing job got no usable answer. The job stands as it stood: ask again later."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.message)


@dataclass(frozen=True, slots=True)
class CallbackFacts:
    """What a provider's signed report is about. It is a hint: only a poll says what became of a job."""

    job_id: str
    event_id: str
    """The same for every repetition of one report."""
    signed_at: datetime | None
    """When the provider says that it was signed; None where nothing says so."""


class CallbackRefused(Exception):  # noqa: N818
    """A report that cannot be trusted: unsigned, wrongly signed, too old, or about nothing."""


class Adapter(Protocol):
    """One inference provider. No method repeats a call by itself: there is no idempotency key to make that safe."""

    @property
    def capabilities(self) -> ProviderInfo:
        """What the catalog says about the provider."""
        ...

    async def submit(self, job: Job) -> Submission:
        """Asks for a job, once."""
        ...

    async def poll(self, ref: ProviderRef) -> Progress:
        """Where a job stands.

        Raises:
            ProviderUnreachable: there was no usable answer.
        """
        ...

    async def cancel(self, ref: ProviderRef) -> CancelOutcome:
        """Asks to stop a job, once. Never raises for what the provider does."""
        ...

    async def find(self, job: Job, since: datetime) -> tuple[ProviderRef, ...] | None:
        """Jobs submitted since then that look like this one; None when the provider cannot be asked.

        Equal requests of several attempts look alike: leave out references that another attempt already has.

        Raises:
            ProviderUnreachable: there was no usable answer.
        """
        ...

    async def verify_callback(self, headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        """What a report that arrived is about.

        Args:
            headers: of the report, with lower-case names.
            body: exactly the bytes that arrived.
            secret: the `callback_secret` of the attempt that the report was addressed to.

        Raises:
            CallbackRefused: it cannot be trusted, or the provider has no signature that could be checked.
            ProviderUnreachable: the keys to check it with cannot be had now.
        """
        ...
