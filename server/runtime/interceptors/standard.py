"""The chain of every regional server, in one place and in one order."""

from __future__ import annotations

from collections.abc import Callable

from server.runtime.interceptors.authentication import Authentication, KeyAuthenticator
from server.runtime.interceptors.authorization import Allowlists, Authorization
from server.runtime.interceptors.chain import Chain
from server.runtime.interceptors.deadline import Deadline
from server.runtime.interceptors.metrics import CallMetrics, Metrics
from server.runtime.interceptors.rate_limiting import RateLimit
from server.runtime.interceptors.recovery import Recovery
from server.runtime.interceptors.request_log import RequestLog
from server.runtime.interceptors.tracing import Tracing
from server.runtime.interceptors.validation import Validation
from server.runtime.rate_limit import AccountLimits, AuthFailures
from server.runtime.service_identity import Identities


def standard_chain(
    *,
    keys: KeyAuthenticator,
    identities: Identities,
    allows: Allowlists,
    limits: AccountLimits,
    failures: AuthFailures,
    metrics: CallMetrics,
    address_hash: Callable[[str], str],
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
            Metrics(metrics),
            Deadline(),
            Authentication(keys, identities, failures),
            Authorization(allows, limits),
            RateLimit(limits),
            Validation(),
        ]
    )
