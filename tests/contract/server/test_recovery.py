"""Whatever a handler raises, its caller learns nothing that was not meant for them."""

from __future__ import annotations

import json
import logging
from typing import Any

import asyncpg
import grpc
import pytest
from sqlalchemy.exc import DBAPIError

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from kit.logs import JsonFormatter
from kit.rpc import STATUS_METADATA, error_of
from tests.contract.server.harness import harness

SECRET = "postgres://user:p4ssw0rd@db.internal:5432/main 'a prompt'"

FAILURES = [
    RuntimeError(SECRET),
    ValueError(SECRET),
    KeyError(SECRET),
    UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
    DBAPIError(SECRET, {"dsn": SECRET}, Exception(SECRET)),
    asyncpg.PostgresConnectionError(SECRET),
    asyncpg.UniqueViolationError(SECRET),
    ConnectionRefusedError(SECRET),
    TimeoutError(SECRET),
    ExceptionGroup(SECRET, [RuntimeError(SECRET)]),
]
UNAVAILABLE = (asyncpg.PostgresConnectionError, ConnectionRefusedError, TimeoutError)


def everything_in(failed: grpc.aio.AioRpcError) -> str:
    trailing = [(key, value) for key, value in failed.trailing_metadata() or ()]
    return f"{failed.code()} {failed.details()} {trailing} {failed.debug_error_string()}"


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_no_text_of_an_exception_reaches_the_client_or_the_log(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with harness() as server:

        async def fail() -> None:
            raise failure

        server.script.behave = fail
        with caplog.at_level(logging.DEBUG), pytest.raises(grpc.aio.AioRpcError) as failed:
            await server.call()
        with pytest.raises(grpc.aio.AioRpcError) as broken:
            [_ async for _ in server.read()]
    for seen in (failed.value, broken.value):
        for word in ("p4ssw0rd", "db.internal", "prompt"):
            assert word not in everything_in(seen)
        error = error_of(seen)
        away = isinstance(failure, UNAVAILABLE)
        assert error.spec.name == ("SERVICE_UNAVAILABLE" if away else "INTERNAL_ERROR")
        assert error.details == {}
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert not any("p4ssw0rd" in line for line in lines)
    told = [json.loads(line) for line in lines if "a call failed" in line]
    assert told[0]["exception"] == type(failure).__name__
    assert told[0]["at"].startswith("test_recovery.py:")


async def test_an_error_of_ours_arrives_whole_with_everything_that_trails_it() -> None:
    async with harness() as server:

        async def refuse() -> None:
            raise BabySeaError(
                error_reason_pb2.ERROR_REASON_CONCURRENCY_LIMIT_EXCEEDED,
                "Three are running; wait for one.",
                details={"retry_after_seconds": "2", "limit": "3"},
            )

        server.script.behave = refuse
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await server.call()
    error = error_of(failed.value)
    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.spec.bse_code == "BSE1009"
    assert error.message == failed.value.details() == "Three are running; wait for one."
    assert error.details == {"retry_after_seconds": "2", "limit": "3"}
    assert set(dict(failed.value.trailing_metadata() or ())) >= {
        STATUS_METADATA,
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-babysea-server-ms",
        "x-babysea-database-ms",
    }


async def test_a_stream_that_fails_in_the_middle_keeps_what_was_sent_and_ends_with_the_error() -> None:
    async with harness() as server:

        async def refuse() -> None:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND)

        server.script.behave = refuse
        stream = server.read()
        assert (await stream.read()).chunk == b"one"
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stream.read()
    assert error_of(failed.value).spec.name == "NOT_FOUND"


async def test_a_method_that_nobody_serves_is_unimplemented() -> None:
    async with harness() as server:
        call: Any = server.channel.unary_unary("/babysea.keys.v1.KeyService/NoSuchMethod")
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(b"")
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED
