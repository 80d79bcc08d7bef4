"""The chain of every regional server, in one place and in one order."""

from __future__ import annotations

from collections.abc import Callable

from server.runtime.interceptors.authentication import (
    Authentication,
    KeyAuthenticator,
    SessionAuthenticator,
)
from server.runtime.interceptors.authorization import Allowlists, Authorization, Memberships
from server.runtime.interceptors.chain import Chain
from server.runtime.interceptors.deadline import Deadline
from server.runtime.interceptors.metrics import CallMetrics, Metrics
from server.runtime.interceptors.rate_limiting import RateLimit
from server.runtime.interceptors.recording import Recording
from server.runtime.interceptors.recovery import Recovery
from server.runtime.interceptors.request_log import RequestLog
from server.runtime.interceptors.tracing import Tracing
from server.runtime.interceptors.validation import Validation
from server.runtime.rate_limit import AccountLimits, AuthFailures
from server.runtime.service_identity import Identities


def standard_chain(
    *,
    keys: KeyAuthenticator,
    sessions: SessionAuthenticator,
    members: Memberships,
    identities: Identities,
    allows: Allowlists,
    limits: AccountLimits,
    failures: AuthFailures,
    metrics: CallMetrics,
    address_hash: Callable[[str], str],
    recording: Recording | None = None,
) -> Chain:
    """The stages, outermost first.

    Raises:
        ChainOrderError: a stage stands before one that it relies on.
    """
    return Chain(
        [
            Tracing(),
            Recovery(),
            RequestLog(address_hash),
            *([] if recording is None else [recording]),
            Metrics(metrics),
            Deadline(),
            Authentication(keys, sessions, identities, failures),
            Authorization(allows, limits, members),
            RateLimit(limits),
            Validation(),
        ]
    )
