"""What every provider adapter can be asked, and the words in which it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
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

    def to_json(self) -> str:
        """The reference as text."""
        return json.dumps({"job_id": self.job_id, "urls": dict(self.urls)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ProviderRef:
        """The reference that `to_json` wrote.

        Raises:
            ValueError: this is not such a text.
        """
        content = json.loads(text)
        if not isinstance(content, dict) or not isinstance(content.get("job_id"), str):
            raise ValueError("not a stored provider reference")
        return cls(content["job_id"], dict(content.get("urls", {})))


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt to be made."""

    attempt_id: UUID
    request: GenerationRequest
    model: Model
    provider_model: ProviderModel
    callback_url: str | None = None
    """Where the provider may report; None when only polling is wanted."""


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


Submission = Accepted | Refused | NotSent | Unknown


@dataclass(frozen=True, slots=True)
class RemoteOutput:
    """A finished file at the provider."""

    url: str
    content_type: str | None
    """What the provider says that it is; to be checked against the bytes."""


@dataclass(frozen=True, slots=True)
class Pending:
    """The job is queued or running; ask again after so many seconds."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The job has outputs: at least one, and not more than were asked for unless the provider errs."""

    outputs: tuple[RemoteOutput, ...]
    run_seconds: float | None = None
    """How long the provider says that the model ran."""
    cost_micros: int | None = None
    """What the provider says that it bills us, in micro-dollars."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended without an output."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class CanceledUpstream:
    """The job was stopped, by us or by the provider's own deadline."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The provider does not know the job, or has thrown its output away."""

    fault: Fault


Progress = Pending | Finished | Failed | CanceledUpstream | Lost


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
