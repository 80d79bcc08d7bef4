"""HTTP to a provider's API: one client each, a deadline per call, a bound on every answer, no second try."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import httpcore
import httpx
from opentelemetry.trace import Span, SpanKind, StatusCode
from pydantic import SecretStr

from kit.clock import Clock, SystemClock
from kit.telemetry import tracer

MAX_ANSWER_BYTES = 1_000_000
"""Longest answer of a call that asks for no more."""
INLINE_ANSWER_BYTES = 96_000_000
"""Longest answer that holds the outputs themselves: 64 MiB of files, a third more in base64, and what stands around."""
_PARSED_AT_ONCE_BYTES = 1_000_000
_LONGEST_RETRY_AFTER = 3600.0
_LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=15)


class NothingSent(Exception):  # noqa: N818
    """The call failed before a byte of it was sent."""


class NoAnswer(Exception):  # noqa: N818
    """The call was sent, at least in part, and no whole answer came."""

    def __init__(self, status: int | None = None) -> None:
        self.status = status
        """Status of an answer whose body was unusable."""
        super().__init__("no whole answer")


@dataclass(frozen=True, slots=True)
class FormPart:
    """One part of a multipart form."""

    name: str
    content: str | bytes | Path
    """A file is read while it is sent: a process that sends many at once never holds them."""
    file_name: str = ""
    """Empty for a plain value."""
    content_type: str = ""
    """Empty lets the file's name say it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer: any status, and its body if that was a JSON object or list."""

    status: int
    headers: httpx.Headers
    body: object
    content: bytes = b""
    """The body itself where it is a file: its content type is an image's, a video's or application/octet-stream."""

    @property
    def ok(self) -> bool:
        """Whether the status says success."""
        return 200 <= self.status < 300

    @property
    def fields(self) -> Mapping[str, object]:
        """The body's fields; none when it is not a JSON object."""
        return self.body if isinstance(self.body, dict) else {}

    def text(self, name: str) -> str:
        """A field of the body that is a string; empty otherwise."""
        return text_of(self.fields, name)


class ProviderHttp:
    """Calls one provider.

    Args:
        provider_id: names the spans.
        base_url: where the API begins; calls elsewhere are refused, because they would carry our credential along.
        scheme: word before the credential; empty for none.
        credential: what the header says.
        header: the header that carries the credential.
        extra_headers: sent with every call.
        own_domain: hosts at or below it, asked by https at their usual port, belong to the API too; empty for none.
        call_seconds: time for a whole call, from waiting for a connection to the last byte.
    """

    def __init__(
        self,
        provider_id: str,
        base_url: str,
        scheme: str,
        credential: SecretStr,
        *,
        header: str = "Authorization",
        extra_headers: Mapping[str, str] | None = None,
        own_domain: str = "",
        call_seconds: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        self.provider_id = provider_id
        self.base_url = base_url.rstrip("/")
        self._origin = _origin(self.base_url)
        self._prefix = urlsplit(self.base_url).path + "/"
        self._own_domain = own_domain.lower()
        self._call_seconds = call_seconds
        self._clock = clock or SystemClock()
        self._client = httpx.AsyncClient(
            headers={
                **(extra_headers or {}),
                header: f"{scheme} {credential.get_secret_value()}".strip(),
                "Accept": "application/json",
                # A compressed answer could grow beyond its bound after it was counted.
                "Accept-Encoding": "identity",
                "User-Agent": "babysea-control-plane",
            },
            # The total deadline is asyncio's; this one only tells a dead address from a slow provider.
            timeout=httpx.Timeout(None, connect=min(10.0, call_seconds), pool=min(10.0, call_seconds)),
            limits=_LIMITS,
            follow_redirects=False,
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._client.aclose()

    def is_ours(self, url: str) -> bool:
        """Whether a URL that the provider named lies within its API."""
        try:
            parts = urlsplit(url)
            if not is_visible_ascii(url) or "\\" in url or ".." in parts.path.split("/"):
                return False
            at_base = _origin(url) == self._origin and parts.path.startswith(self._prefix)
            return at_base or self._in_own_domain(url)
        except ValueError:
            return False

    def _in_own_domain(self, url: str) -> bool:
        scheme, host, port, user = _origin(url)
        if not self._own_domain or host is None or (scheme, port, user) != ("https", 443, ""):
            return False
        return bool(host == self._own_domain or host.endswith(f".{self._own_domain}"))

    async def call(
        self,
        verb: str,
        method: str,
        url: str,
        *,
        content: object = None,
        form: Sequence[FormPart] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
        answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """One call.

        Args:
            verb: names the span.
            method: of HTTP.
            url: absolute, or a path below the base URL.
            content: sent as JSON; None sends no body.
            form: sent as multipart/form-data instead, in this order.
            query: parameters of the URL.
            headers: of this call alone.
            seconds: time for the whole call, where the usual `call_seconds` is too short or too long.
            answer_bytes: longest answer that is read.

        Raises:
            NothingSent: no byte of the call left us.
            NoAnswer: it was sent, at least in part, and no whole answer came.
            OSError: a file of the form cannot be opened; nothing was sent.
            ValueError: the URL lies outside of the provider's API.
        """
        absolute = url if url.startswith(("http://", "https://")) else f"{self.base_url}/{url.lstrip('/')}"
        if not self.is_ours(absolute):
            raise ValueError(f"a URL outside of {self.provider_id}'s API")
        flight = _Flight()
        with ExitStack() as files:
            request = self._client.build_request(
                method,
                absolute,
                json=content,
                files=None if form is None else [_encoded(part, files) for part in form],
                params=query,
                headers=headers,
                extensions={"trace": flight.watch},
            )
            # Exceptions stay out of the span: their text may hold a URL or a header.
            with tracer().start_as_current_span(
                f"{self.provider_id} {verb}",
                kind=SpanKind.CLIENT,
                attributes={"babysea.provider": self.provider_id},
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                limit = self._call_seconds if seconds is None else seconds
                return await self._send(request, flight, span, limit, answer_bytes)

    def retry_after(self, answer: Answer) -> float | None:
        """Seconds for which an answer asks to be left alone: Retry-After as a number or a date, an hour at most."""
        value = answer.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value):
            return min(float(value), _LONGEST_RETRY_AFTER)
        at = date_of(value)
        if at is None:
            return None
        return max(0.0, min((at - self._clock.now()).total_seconds(), _LONGEST_RETRY_AFTER))

    async def _send(
        self, request: httpx.Request, flight: _Flight, span: Span, seconds: float, most_bytes: int
    ) -> Answer:
        status: int | None = None
        try:
            async with asyncio.timeout(seconds):
                response = await self._client.send(request, stream=True)
                status = response.status_code
                span.set_attribute("http.status_code", status)
                try:
                    body = await _read_bounded(response, most_bytes)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError, OSError):
            span.set_status(StatusCode.ERROR)
            if not flight.sent:
                raise NothingSent from None
            raise NoAnswer(status) from None
        if status >= 400:
            span.set_status(StatusCode.ERROR)
        if _is_file(response.headers):
            return Answer(status, response.headers, None, body)
        if len(body) > _PARSED_AT_ONCE_BYTES:
            return Answer(status, response.headers, await asyncio.to_thread(_json, body))
        return Answer(status, response.headers, _json(body))


class _Flight:
    """Watches one call, to know whether a byte of it may have been sent."""

    def __init__(self) -> None:
        self.sent = False

    async def watch(self, event: str, facts: Mapping[str, object]) -> None:
        if event.endswith("send_request_headers.started"):
            self.sent = True
        elif event.endswith("send_request_headers.failed") and isinstance(
            facts.get("exception"), httpcore.LocalProtocolError
        ):
            # The head could not even be written down.
            self.sent = False


async def _read_bounded(response: httpx.Response, most_bytes: int) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx.DecodingError("compressed against our wish")
    content = bytearray()
    async for part in response.aiter_raw():
        content += part
        if len(content) > most_bytes:
            raise httpx.DecodingError("longer than allowed")
    return bytes(content)


def is_visible_ascii(text: str) -> bool:
    """Whether a text has no space, no control character and nothing outside of ASCII."""
    return all("!" <= letter <= "~" for letter in text)


def date_of(header: str) -> datetime | None:
    """The moment that a header names; None for anything else."""
    try:
        at = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        # A year or a zone of many digits is too large for the clock.
        return None
    return at if at.tzinfo is not None else None


def text_of(fields: Mapping[str, object], name: str) -> str:
    """A field that is a string; empty otherwise."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def seconds_of(fields: object, name: str) -> float | None:
    """A field that is a number of seconds, not negative; None otherwise."""
    value = fields.get(name) if isinstance(fields, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e9:
        return None
    return float(value)


_Content = str | bytes | IO[bytes]


def _encoded(
    part: FormPart, files: ExitStack
) -> tuple[str, tuple[str | None, _Content] | tuple[str, _Content, str]]:
    """The part for the client; a file is closed with `files`."""
    content = files.enter_context(part.content.open("rb")) if isinstance(part.content, Path) else part.content
    if part.file_name and part.content_type:
        return part.name, (part.file_name, content, part.content_type)
    return part.name, (part.file_name or None, content)


def _is_file(headers: httpx.Headers) -> bool:
    kind = headers.get("content-type", "").lower()
    return bool(kind.startswith(("image/", "video/", "application/octet-stream")))


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _origin(url: str) -> tuple[str, str | None, int | None, str]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    user = parts.netloc.rpartition("@")[0]
    return parts.scheme, parts.hostname, port, user
