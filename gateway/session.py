"""Signed-in people at the edge: the session in a header or a cookie, and the proof that a cookie was meant."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request

from babysea.common.v1 import error_reason_pb2
from gateway.auth import check_bearer
from gateway.exchange import exchange_of
from gateway.limits import FailureLimit
from kit.errors import BabySeaError
from kit.settings import Region

PREFIX = "ses_"
"""What every session begins with."""

LONGEST_SECONDS = 90 * 24 * 3600
"""Life of the cookie. Whether the session still works is the region's decision at every request."""

_KEY_PREFIX = "bye_"
_THIS_HOST = "__Host-"
_SAFE = frozenset({"GET", "HEAD"})
_SENDABLE = re.compile(r"ses_[A-Za-z0-9_]{1,200}")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

_MISSING = 'Sign in first: this route needs a session, as the cookie or as "Authorization: Bearer ses_…".'
_NOT_FOR_KEYS = "This route is for signed-in members; no API key can use it."
_WRONG = "The session is not valid in this region; sign in again."
_FOREIGN = (
    "A session cookie changes things only from pages of this host: send the Origin header of this host, or the session "
    'as "Authorization: Bearer ses_…".'
)


async def require_session(request: Request) -> None:
    """Lets a request pass that shows something like a session, and keeps it for the region.

    A header wins over the cookie, because no foreign page can make a browser send it.

    Raises:
        BabySeaError: AUTH_RATE_LIMITED, AUTHENTICATION_REQUIRED, AUTHENTICATION_FAILED, or INSUFFICIENT_PERMISSIONS for
            an API key and for a cookie that changes something without coming from a page of this host.
    """
    require_attempts_left(request)
    if "authorization" in request.headers:
        token = _from_header(request.headers)
    else:
        token = _from_cookie(request)
        if request.method not in _SAFE and came_from_this_host(request) is not True:
            raise foreign()
    exchange_of(request).credential = f"Bearer {token}"


async def require_nobody(request: Request) -> None:
    """Lets a request pass that needs no credential; one that it shows anyway goes no further.

    Raises:
        BabySeaError: AUTH_RATE_LIMITED.
    """
    require_attempts_left(request)


def require_attempts_left(request: Request) -> None:
    """Lets a request pass from an address that has not failed too often.

    Raises:
        BabySeaError: AUTH_RATE_LIMITED.
    """
    exchange = exchange_of(request)
    limit: FailureLimit = request.app.state.failure_limit
    limit.check(exchange.region, exchange.address)


def foreign() -> BabySeaError:
    """The refusal of a request that a page of another host may have made."""
    return BabySeaError(error_reason_pb2.ERROR_REASON_INSUFFICIENT_PERMISSIONS, _FOREIGN)


def came_from_this_host(request: Request) -> bool | None:
    """Whether a page of this very host made a request, as the browser tells; None when no browser says anything.

    Scripts can set neither of the two headers, and what no browser sent carries no cookie that its owner did not mean.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if origin is None and site is None:
        return None
    if site is not None and site != "same-origin":
        return False
    return origin is None or _is_origin_of(request, origin)


def cookie_name(region: Region) -> str:
    """Plain name of the session cookie. It names the region, as browsers share the cookies of a host among its ports."""
    return f"babysea_session_{region}"


def session_cookie(request: Request, token: str) -> str:
    """The Set-Cookie header that keeps a session in the browser; an empty token ends it there."""
    return own_cookie(request, cookie_name(exchange_of(request).region), token, LONGEST_SECONDS)


def own_cookie(request: Request, name: str, value: str, seconds: int) -> str:
    """A Set-Cookie header for this host alone, out of reach of scripts; an empty value removes the cookie."""
    age = seconds if value else 0
    secure = "; Secure" if is_secure(request) else ""
    return f"{_kept_as(request, name)}={value}; Max-Age={age}; Path=/; HttpOnly; SameSite=Lax{secure}"


def cookies_named(request: Request, name: str) -> list[str]:
    """Every value that a browser sends under a name; more than one when somebody planted another."""
    pairs = [pair for header in request.headers.getlist("cookie") for pair in header.split(";")]
    parts = [pair.partition("=") for pair in pairs]
    kept = _kept_as(request, name)
    return [value.strip() for key, _, value in parts if key.strip() == kept]


def is_secure(request: Request) -> bool:
    """Whether the client came over https; in production every client does."""
    return request.url.scheme == "https" or bool(request.app.state.production)


def _kept_as(request: Request, name: str) -> str:
    """The name with which browsers take a cookie from this very host alone, so that no sibling host can plant one."""
    return f"{_THIS_HOST}{name}" if is_secure(request) else name


def _from_header(headers: Headers) -> str:
    try:
        token = check_bearer(headers)
    except BabySeaError as error:
        needed = error.reason == error_reason_pb2.ERROR_REASON_AUTHENTICATION_REQUIRED
        raise BabySeaError(error.reason, _MISSING if needed else _WRONG) from None
    if token.startswith(_KEY_PREFIX):
        raise BabySeaError(error_reason_pb2.ERROR_REASON_INSUFFICIENT_PERMISSIONS, _NOT_FOR_KEYS)
    if not _SENDABLE.fullmatch(token):
        raise BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED, _WRONG)
    return token


def _from_cookie(request: Request) -> str:
    found = cookies_named(request, cookie_name(exchange_of(request).region))
    if not found:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_REQUIRED, _MISSING)
    # Of two cookies with this name one was planted, and nothing tells which.
    if len(found) > 1 or not _SENDABLE.fullmatch(found[0]):
        raise BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED, _WRONG)
    return found[0]


def _is_origin_of(request: Request, origin: str) -> bool:
    parts = urlsplit(origin)
    if is_secure(request) and parts.scheme != "https":
        return False
    default = _DEFAULT_PORTS.get(parts.scheme, "")
    own = request.headers.get("host", "").lower().removesuffix(default)
    return bool(own) and parts.netloc.lower().removesuffix(default) == own
