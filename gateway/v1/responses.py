"""Payloads of the success replies: the public contract as types, from which the description is made.

Money is in credits (1 credit = 1 USD) as exact JSON numbers; times are ISO 8601 in UTC with milliseconds.
"""

from __future__ import annotations

from typing import Generic, Literal, NotRequired, TypeVar

from pydantic import ConfigDict
from typing_extensions import TypedDict

from gateway.v1.values import Number

Data = TypeVar("Data")


class Envelope(TypedDict, Generic[Data]):
    """Every success."""

    status: Literal["success"]
    request_id: str
    message: str
    timestamp: str
    data: Data


class ListEnvelope(Envelope[Data], Generic[Data]):
    """A success with one page of a list."""

    total: int
    limit: int
    offset: int


class ErrorDetails(TypedDict, total=False):
    """What else is known of an error."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    field: str
    retry_after_seconds: int
    limit: int


class ErrorBody(TypedDict):
    """What went wrong. Decide by `retryable` whether to repeat, not by the HTTP status."""

    code: str
    type: str
    message: str
    retryable: bool
    details: NotRequired[ErrorDetails]


class ErrorEnvelope(TypedDict):
    """Every error."""

    status: Literal["error"]
    request_id: str
    error: ErrorBody


class StatusData(TypedDict):
    """The calling key."""

    account_id: str
    apikey_id: str
    apikey_name: str | None
    apikey_prefix: str | None
    apikey_created_at: str | None
    apikey_last_used_at: str | None
    apikey_expires_at: str | None


class AccountData(TypedDict):
    """The key's account."""

    account_id: str
    account_name: str
    account_email: str | None
    account_is_personal: bool
    account_picture_url: str | None
    account_created_at: str | None


class BillingData(TypedDict):
    """Plan and balance; the balance is what is neither spent nor held."""

    account_id: str
    billing_plan: str | None
    billing_credit_balance: Number
    billing_subscription_status: str | None
    billing_cancel_at_period_end: bool | None
    billing_currency: str | None
    billing_period_starts_at: str | None
    billing_period_ends_at: str | None
    billing_created_at: str | None
    billing_updated_at: str | None


class EstimateData(TypedDict):
    """What generations would cost; nothing is reserved. The balance fields are null when it could not be read."""

    model_identifier: str
    model_type: Literal["image", "video"]
    assets_count: int
    cost_per_generation: Number
    cost_total_consumed: Number
    credit_balance: Number | None
    credit_balance_can_afford: bool | None
    credit_balance_max_affordable: int | None
    cost_per_second: NotRequired[Number]
    duration_seconds: NotRequired[Number]
    resolution: NotRequired[str]


class CreatedData(TypedDict):
    """An accepted generation. The work goes on; poll the record."""

    model_identifier: str
    generation_provider_order: list[str]
    generation_prediction_id: str
    generation_id: str
    generation_initialized: Literal[True]


class CanceledData(TypedDict):
    """A create whose generation was canceled before this answer."""

    generation_id: str
    generation_status: Literal["canceled"]


class CancelData(CanceledData):
    """What a cancel did."""

    provider_cancel_sent: bool
    credits_refunded: bool


class DeleteData(TypedDict):
    """What a delete did; the record and its files are gone."""

    generation_id: str
    files_deleted: int


class ProviderErrorData(TypedDict):
    """What one provider answered."""

    provider: str
    code: str
    type: str
    message: str
    retryable: bool


class RecordData(TypedDict):
    """A generation. Further `generation_*` fields are those that the model defines."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    account_id: str
    generation_id: str
    model_identifier: str
    generation_provider_order: list[str]
    generation_provider_used: str | None
    generation_prediction_id: str | None
    generation_status: Literal["pending", "processing", "succeeded", "failed", "canceled"]
    generation_prompt: str
    generation_ratio: NotRequired[str]
    generation_output_format: NotRequired[str]
    generation_output_number: int
    generation_input_file: list[str] | None
    generation_output_file: list[str] | None
    generation_created_at: str | None
    generation_started_at: str | None
    generation_completed_at: str | None
    generation_metrics_total_time: Number | None
    generation_metrics_predict_time: Number | None
    generation_duration: NotRequired[Number]
    generation_resolution: NotRequired[str]
    generation_generate_audio: NotRequired[bool]
    generation_audio_mode: NotRequired[Literal["audio", "noaudio"]]
    generation_error: NotRequired[str]
    generation_error_code: NotRequired[str]
    generation_provider_errors: NotRequired[list[ProviderErrorData]]
    generation_output_expires_at: NotRequired[str]
    generation_removed: NotRequired[Literal[True]]


class RecordsData(TypedDict):
    """Generations, newest first."""

    generations: list[RecordData]


class StateEntry(TypedDict):
    """The generation reached a state. The amount is what was held (pending) or charged (succeeded), in credits."""

    at: str | None
    entry: Literal["state"]
    generation_status: Literal["pending", "processing", "succeeded", "failed", "canceled"]
    amount: NotRequired[Number]
    provider: NotRequired[str]
    error_code: NotRequired[str]


class AttemptEntry(TypedDict):
    """An attempt at one provider reached a state."""

    at: str | None
    entry: Literal["attempt"]
    attempt_id: str
    attempt_number: int
    provider: str
    attempt_status: Literal[
        "planned",
        "submitting",
        "submit_unknown",
        "accepted",
        "succeeded",
        "failed",
        "canceled",
        "discarded",
    ]
    error: NotRequired[ProviderErrorData]


class DecisionEntry(TypedDict):
    """Something was decided. `cause_code` says how the attempt before a failover ended."""

    at: str | None
    entry: Literal["decision"]
    decision: Literal[
        "order_planned", "provider_chosen", "failed_over", "cancel_sent", "postponed", "excluded"
    ]
    providers: list[str]
    cause_code: NotRequired[str]


class TimelineData(TypedDict):
    """What became of a generation, oldest first."""

    generation_id: str
    timeline: list[StateEntry | AttemptEntry | DecisionEntry]
