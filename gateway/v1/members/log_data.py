"""Logs as replies show them."""

from __future__ import annotations

from typing import Generic, Literal

from typing_extensions import TypedDict

from babysea.logs.v1 import logs_pb2
from gateway.v1.members.values import at, word
from gateway.v1.responses import Data, Envelope


class TokenEnvelope(Envelope[Data], Generic[Data]):
    """A success with one page of a list that grows while it is read."""

    limit: int
    next_page_token: str | None


class LoggedKeyData(TypedDict):
    """The key of a request, as it stands now."""

    apikey_id: str
    apikey_name: str | None
    apikey_prefix: str | None
    apikey_status: str


class RequestData(TypedDict):
    """One request: no body, no key and no address of it."""

    log_id: str
    at: str | None
    surface: Literal["rest", "grpc"]
    method: str
    route: str
    query: str
    status: int
    error_code: str | None
    millis: int
    replayed: bool
    apikey: LoggedKeyData | None
    person_id: str | None
    address_hash: str
    user_agent: str
    request_id: str | None


class RequestsData(TypedDict):
    """Requests, newest first."""

    logs: list[RequestData]


class ActivityData(TypedDict):
    """One thing that was done to the account."""

    event_id: str
    at: str | None
    actor: Literal["user", "system"]
    actor_id: str | None
    category: str
    action: str
    description: str
    target_id: str | None
    details: dict[str, str]


class ActivitiesData(TypedDict):
    """Activity, newest first."""

    activity: list[ActivityData]


class KeyDayData(TypedDict):
    """One day (UTC) of a key."""

    day: str
    requests: int
    errors: int


class KeyUsageData(TypedDict):
    """How often a key was used."""

    apikey: LoggedKeyData
    requests: int
    errors: int
    last_at: str | None
    days: list[KeyDayData]


class UsageData(TypedDict):
    """How often keys were used, the most used first; one without a request is left out."""

    account_id: str
    usage_period_days: int
    apikeys: list[KeyUsageData]


def request_data(entry: logs_pb2.LoggedRequest) -> RequestData:
    """A logged request as the reply shows it."""
    by_key = entry.WhichOneof("caller") == "key"
    return {
        "log_id": entry.log_id,
        "at": at(entry, "at"),
        "surface": word(logs_pb2.Surface.Name(entry.surface), "SURFACE_"),  # type: ignore[typeddict-item]
        "method": entry.method,
        "route": entry.route,
        "query": entry.query,
        "status": entry.status,
        "error_code": entry.error_code or None,
        "millis": entry.millis,
        "replayed": entry.replayed,
        "apikey": _key_data(entry.key) if by_key else None,
        "person_id": entry.person_id or None,
        "address_hash": entry.address_hash,
        "user_agent": entry.user_agent,
        "request_id": entry.request_id or None,
    }


def activity_data(entry: logs_pb2.ActivityEntry) -> ActivityData:
    """An activity entry as the reply shows it."""
    return {
        "event_id": entry.event_id,
        "at": at(entry, "at"),
        "actor": "user" if entry.actor_id else "system",
        "actor_id": entry.actor_id or None,
        "category": entry.category,
        "action": entry.action,
        "description": entry.description,
        "target_id": entry.target_id or None,
        "details": dict(entry.details),
    }


def usage_data(usage: logs_pb2.KeyUsage) -> KeyUsageData:
    """The use of a key as the reply shows it."""
    return {
        "apikey": _key_data(usage.key),
        "requests": usage.requests,
        "errors": usage.errors,
        "last_at": at(usage, "last_at"),
        "days": [{"day": day.day, "requests": day.requests, "errors": day.errors} for day in usage.days],
    }


def _key_data(key: logs_pb2.LoggedKey) -> LoggedKeyData:
    return {
        "apikey_id": key.key_id,
        "apikey_name": key.name or None,
        "apikey_prefix": key.prefix or None,
        "apikey_status": key.status,
    }
