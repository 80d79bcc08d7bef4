"""Provider failures in our own words: what an HTTP status means, the same for every provider unless it says more."""

from __future__ import annotations

from babysea.common.v1 import error_reason_pb2 as reasons
from server.providers.http import Answer
from server.providers.protocol import Fault, FaultKind

AMBIGUOUS_STATUSES = frozenset({408, 502, 504, 520, 521, 522, 523, 524})
"""Made by a gateway in front of the provider, which may or may not have passed the request on."""

_REQUEST_STATUSES = frozenset({400, 413, 415, 422})
_ACCOUNT_STATUSES = frozenset({401, 402, 403})


def unavailable(name: str, http_status: int | None = None, retry_after: float | None = None) -> Fault:
    """The provider cannot be reached or says that it is out of order."""
    return Fault(
        FaultKind.PROVIDER,
        reasons.ERROR_REASON_PROVIDER_UNAVAILABLE,
        f"{name} is unavailable.",
        http_status,
        retry_after,
    )


def submit_unknown(name: str, http_status: int | None = None) -> Fault:
    """A submit whose answer never came."""
    return Fault(
        FaultKind.PROVIDER,
        reasons.ERROR_REASON_PROVIDER_SUBMIT_UNKNOWN,
        f"{name} did not confirm the job.",
        http_status,
    )


def invalid_response(name: str, http_status: int | None = None) -> Fault:
    """An answer that says success and cannot be used."""
    return Fault(
        FaultKind.PROVIDER,
        reasons.ERROR_REASON_PROVIDER_INVALID_RESPONSE,
        f"{name} answered with something unusable.",
        http_status,
    )


def failed(name: str, http_status: int | None = None) -> Fault:
    """The provider's own failure."""
    return Fault(
        FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_ERROR, f"{name} failed to run the job.", http_status
    )


def timed_out(name: str, http_status: int | None = None) -> Fault:
    """The provider gave the job up after a deadline."""
    return Fault(
        FaultKind.PROVIDER,
        reasons.ERROR_REASON_PROVIDER_TIMEOUT,
        f"{name} did not finish the job in time.",
        http_status,
    )


def lost(name: str, http_status: int | None = None) -> Fault:
    """The provider does not know the job."""
    return Fault(
        FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_ERROR, f"{name} lost the job.", http_status
    )


def output_gone(name: str, http_status: int | None = None) -> Fault:
    """The job succeeded and its output has been removed."""
    return Fault(
        FaultKind.PROVIDER,
        reasons.ERROR_REASON_OUTPUT_DOWNLOAD_FAILED,
        f"{name} has already removed the output.",
        http_status,
    )


def content_policy(name: str, http_status: int | None = None) -> Fault:
    """A safety filter of the provider."""
    return Fault(
        FaultKind.CONTENT_POLICY,
        reasons.ERROR_REASON_CONTENT_POLICY_VIOLATION,
        f"The content policy of {name} refused the request.",
        http_status,
    )


def account(name: str, http_status: int | None = None) -> Fault:
    """Our account at the provider has no right or no money."""
    return Fault(
        FaultKind.ACCOUNT,
        reasons.ERROR_REASON_PROVIDER_CREDITS_EXHAUSTED,
        f"Our account at {name} cannot be used.",
        http_status,
    )


def unsupported(name: str) -> Fault:
    """The provider cannot serve this request, so nothing was sent."""
    return Fault(
        FaultKind.UNSUPPORTED,
        reasons.ERROR_REASON_PROVIDER_UNAVAILABLE,
        f"{name} cannot serve this request.",
    )


def of_status(name: str, status: int, retry_after: float | None = None) -> Fault:
    """What an error status means."""
    if status in _ACCOUNT_STATUSES:
        return account(name, status)
    if status in _REQUEST_STATUSES:
        return Fault(
            FaultKind.REQUEST,
            reasons.ERROR_REASON_INVALID_INPUT,
            f"{name} refused the request as not valid.",
            status,
        )
    if status == 429:
        return Fault(
            FaultKind.THROTTLED,
            reasons.ERROR_REASON_PROVIDER_RATE_LIMITED,
            f"{name} limits our requests.",
            status,
            retry_after,
        )
    if status == 503:
        return unavailable(name, status, retry_after)
    return failed(name, status)


def of_answer(name: str, answer: Answer, retry_after: float | None = None) -> Fault:
    """What an error answer means where its body names no known error."""
    if answer.status == 403 and not isinstance(answer.body, dict):
        # A filter in front of the API made it, which a customer's prompt can set off: our account is as good as before.
        return unavailable(name, 403, retry_after)
    return of_status(name, answer.status, retry_after)
