"""What is known of a request once it was answered, and where that goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class RequestFact:
    """One request: what the log keeps of it."""

    id: UUID
    """UUIDv7; the same for every call that the gateway makes for one request."""
    account_id: UUID
    key_id: UUID | None
    person_id: UUID | None
    at: datetime
    """When the request began; the same for every call that the gateway makes for it."""
    ended_at: datetime
    surface: str
    """"rest" or "grpc"."""
    method: str
    """HTTP method; "CALL" for gRPC."""
    route: str
    """Template of the path, without a value in it; for gRPC the full method name."""
    query: str
    """Known parameters with plain values only."""
    status: int
    """HTTP status; for gRPC that of the same error."""
    bse_code: str | None
    millis: int
    """That the region spent."""
    replayed: bool
    """Whether the answer is that of an earlier request with the same Idempotency-Key."""
    address_hash: bytes
    """Keyed SHA-256 of the client's address, 32 bytes."""
    user_agent: str
    request_id: str | None


class Recorder(Protocol):
    """Keeps facts."""

    def record(self, fact: RequestFact) -> None:
        """Takes a fact; returns at once and never fails."""
        ...
