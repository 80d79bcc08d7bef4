"""Reads a request body as one JSON object, and believes nothing about it."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

from starlette.requests import Request

from babysea.common.v1 import error_reason_pb2
from gateway.errors import shown
from kit.errors import BabySeaError, invalid

MAX_BYTES = 100 * 1024
"""100 KB."""

_READ_SECONDS = 10.0
_DISCARD_SECONDS = 1.0
_DISCARD_BYTES = 1024 * 1024
_MAX_DEPTH = 32
_LARGEST_EXACT = 2**53
"""Beyond it a JSON number changes when it becomes the double that the region receives."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""Text that PostgreSQL or protobuf cannot carry."""


async def read_object(request: Request) -> dict[str, object]:
    """The body as a JSON object.

    Raises:
        BabySeaError: PAYLOAD_TOO_LARGE as soon as more than 100 KB are announced or have arrived; INVALID_INPUT for
            anything else that is not an acceptable JSON object, naming the field where there is one.
    """
    return parse_object(await read_bytes(request, MAX_BYTES))


async def read_bytes(request: Request, most: int) -> bytes:
    """The body as it arrives.

    Raises:
        BabySeaError: PAYLOAD_TOO_LARGE as soon as more than `most` bytes are announced or have arrived; INVALID_INPUT
            when it does not arrive in time.
    """
    try:
        async with asyncio.timeout(_READ_SECONDS):
            return await _read(request, most)
    except TimeoutError:
        raise _unreadable("The request body did not arrive within 10 seconds.") from None


async def _read(request: Request, most: int) -> bytes:
    stream = request.stream()
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:12]) > most:
        if "expect" not in request.headers:
            await _discard(stream)
        raise BabySeaError(error_reason_pb2.ERROR_REASON_PAYLOAD_TOO_LARGE)
    data = bytearray()
    async for chunk in stream:
        data += chunk
        if len(data) > most:
            await _discard(stream)
            raise BabySeaError(error_reason_pb2.ERROR_REASON_PAYLOAD_TOO_LARGE)
    return bytes(data)


async def _discard(stream: AsyncIterator[bytes]) -> None:
    """Throws away a little more of a body: many clients look for an answer only after they have sent everything."""
    discarded = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            async for chunk in stream:
                discarded += len(chunk)
                if discarded > _DISCARD_BYTES:
                    return


def parse_object(data: bytes) -> dict[str, object]:
    """Parses JSON more strictly than the standard asks: every value must mean one thing and reach the region unchanged.

    Raises:
        BabySeaError: INVALID_INPUT.
    """
    try:
        parsed = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_finite,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError:
        raise _unreadable("The request body is not UTF-8.") from None
    except RecursionError:
        raise _unreadable("The request body is nested too deeply.") from None
    except ValueError:
        raise _unreadable("The request body is not valid JSON.") from None
    if not isinstance(parsed, dict):
        raise _unreadable("The request body must be a JSON object.")
    for field, value in parsed.items():
        for problem in _problems(field, value):
            raise invalid(shown(field), problem)
    return parsed


def _problems(name: str, value: object) -> Iterator[str]:
    if _UNSTORABLE.search(name):
        yield "A field name holds a character that is not allowed."
    waiting: list[tuple[object, int]] = [(value, 1)]
    while waiting:
        part, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            yield "The value is nested too deeply."
            return
        if isinstance(part, str):
            if _UNSTORABLE.search(part):
                yield "The text holds a NUL or half of a surrogate pair, which is not allowed."
        elif isinstance(part, dict):
            waiting += [(key, depth + 1) for key in part]
            waiting += [(inner, depth + 1) for inner in part.values()]
        elif isinstance(part, list):
            waiting += [(inner, depth + 1) for inner in part]
        elif isinstance(part, int | float) and abs(part) > _LARGEST_EXACT:
            yield "The number is too large."


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise invalid(shown(name), "The field is given more than once.")
        members[name] = value
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _no_constant(_: str) -> float:
    raise ValueError


def _unreadable(message: str) -> BabySeaError:
    return BabySeaError(error_reason_pb2.ERROR_REASON_INVALID_INPUT, message)
