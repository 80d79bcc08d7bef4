"""The two kinds of calls that adapters make: the one that may create a job, and those about one that exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

import httpx

from server.providers import faults
from server.providers.http import (
    MAX_ANSWER_BYTES,
    Answer,
    FormPart,
    NoAnswer,
    NothingSent,
    ProviderHttp,
    is_visible_ascii,
)
from server.providers.protocol import NotSent, ProviderUnreachable, Refused, Unknown

_MICROS_PER_CREDIT = 10_000


async def submitted(
    http: ProviderHttp,
    name: str,
    path: str,
    content: Mapping[str, object] | None,
    *,
    form: Sequence[FormPart] | None = None,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float | None = None,
    answer_bytes: int = MAX_ANSWER_BYTES,
) -> Answer | NotSent | Refused | Unknown:
    """Sends a request that may create a job, once; an answer is the provider's own, whatever its status.

    Args:
        http: of the provider.
        name: of the provider, for people.
        path: below the base URL.
        content: sent as JSON; None where there is a form.
        form: sent as multipart/form-data instead.
        query: parameters of the URL.
        headers: of this call alone.
        seconds: time for the call, where it is not the usual one.
        answer_bytes: longest answer that is read.

    Raises:
        OSError: a file of the form cannot be opened; nothing was sent.
    """
    try:
        answer = await http.call(
            "submit",
            "POST",
            path,
            content=content,
            form=form,
            query=query,
            headers=headers,
            seconds=seconds,
            answer_bytes=answer_bytes,
        )
    except NothingSent:
        return NotSent(faults.unavailable(name))
    except NoAnswer as error:
        status = error.status
        if status is not None and 400 <= status < 500 and status not in faults.AMBIGUOUS_STATUSES:
            # Refused, in words that could not be read.
            return Refused(faults.of_answer(name, Answer(status, httpx.Headers(), None)))
        return Unknown(faults.submit_unknown(name, status))
    if answer.status in faults.AMBIGUOUS_STATUSES:
        return Unknown(faults.submit_unknown(name, answer.status))
    return answer


async def asked(
    http: ProviderHttp,
    name: str,
    verb: str,
    url: str,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    answer_bytes: int = MAX_ANSWER_BYTES,
) -> Answer:
    """Reads something; the answer has any status.

    Raises:
        ProviderUnreachable: there was no answer.
    """
    try:
        return await http.call(verb, "GET", url, query=query, headers=headers, answer_bytes=answer_bytes)
    except (NothingSent, NoAnswer):
        raise ProviderUnreachable(faults.unavailable(name)) from None


def micros_of_credits(fields: object, name: str) -> int | None:
    """A field that is a number of credits of one cent each, in micro-dollars; None for anything else."""
    value = fields.get(name) if isinstance(fields, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e6:
        return None
    return round(value * _MICROS_PER_CREDIT)


def is_url(value: object) -> TypeGuard[str]:
    """Whether a value can be the URL of a file: http or https, and nothing but visible ASCII, which every record takes."""
    return isinstance(value, str) and value.startswith(("http://", "https://")) and is_visible_ascii(value)
