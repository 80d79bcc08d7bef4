"""What travels beside the bodies: metadata towards the region, headers towards the client."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers

from gateway.exchange import Exchange
from gateway.limits import RateFacts
from gateway.request_facts import request_facts
from kit.rpc import (
    CLIENT_ADDRESS,
    DATABASE_MILLIS,
    RATE_LIMIT_LIMIT,
    RATE_LIMIT_REMAINING,
    RATE_LIMIT_RESET,
    SERVER_MILLIS,
    SERVICE_TOKEN,
)

USER_AGENT = "x-babysea-user-agent"
"""Metadata key of the client's User-Agent."""

REQUEST_ID = "x-babysea-request-id"
"""Metadata key of the public request id."""

_USER_AGENT_LENGTH = 200

Metadata = list[tuple[str, str]]


def metadata_of(
    exchange: Exchange, *, service_token: str, traceparent: str, authorization: str | None
) -> Metadata:
    """What the region is told about a request. No other header of the client goes any further.

    Args:
        exchange: the request.
        service_token: the gateway's identity; empty sends none, and then no address and no route either, as they would not be believed.
        traceparent: of the span of this very call.
        authorization: the client's own header, unchanged; None for a call that is not made for a key.
    """
    metadata = [(REQUEST_ID, exchange.request_id), (USER_AGENT, user_agent(exchange.headers))]
    if service_token:
        metadata.append((SERVICE_TOKEN, service_token))
        metadata.append((CLIENT_ADDRESS, exchange.address))
        metadata += request_facts(exchange)
    if traceparent:
        metadata.append(("traceparent", traceparent))
    if authorization is not None:
        metadata.append(("authorization", authorization))
    return metadata


def user_agent(headers: Headers) -> str:
    """The client's User-Agent: printable ASCII, 200 characters at most."""
    printable = (character for character in headers.get("user-agent", "") if " " <= character <= "~")
    return "".join(printable)[:_USER_AGENT_LENGTH]


def learn(exchange: Exchange, trailing: Iterable[tuple[str, str | bytes]] | None) -> None:
    """Notes the facts that came back with a call, succeeded or failed."""
    facts = {key: value for key, value in trailing or () if isinstance(value, str)}
    rate = (facts.get(RATE_LIMIT_LIMIT), facts.get(RATE_LIMIT_REMAINING), facts.get(RATE_LIMIT_RESET))
    if all(value is not None and value.isdecimal() for value in rate):
        limit, remaining, reset = (int(value or 0) for value in rate)
        exchange.rate = RateFacts(limit, remaining, reset)
    exchange.server_millis = _millis(facts.get(SERVER_MILLIS)) or exchange.server_millis
    exchange.database_millis = _millis(facts.get(DATABASE_MILLIS)) or exchange.database_millis


def reply_headers(exchange: Exchange, rate: RateFacts) -> list[tuple[bytes, bytes]]:
    """The headers of every reply, whatever it says.

    Args:
        exchange: the request and what is known of its reply.
        rate: the limit that the client meets next.
    """
    timing = [f"gateway;dur={exchange.elapsed() * 1000:.1f}"]
    if exchange.server_millis:
        timing.append(f"server;dur={exchange.server_millis}")
    if exchange.database_millis:
        timing.append(f"database;dur={exchange.database_millis}")
    headers = {
        "X-Request-Id": exchange.request_id,
        "X-RateLimit-Limit": str(rate.limit),
        "X-RateLimit-Remaining": str(rate.remaining),
        "X-RateLimit-Reset": str(rate.reset),
        "Server-Timing": ", ".join(timing),
        "traceparent": exchange.traceparent,
        "X-Content-Type-Options": "nosniff",
    }
    return [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers.items() if value]


def _millis(text: str | None) -> str:
    if not text:
        return ""
    try:
        return f"{float(text):.1f}"
    except ValueError:
        return ""
