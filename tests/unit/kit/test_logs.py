"""Logs: one line of JSON, and never the text of an exception."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kit.logs import JsonFormatter, configure_logs

SECRET = "a customer's prompt"


@contextmanager
def captured(monkeypatch: pytest.MonkeyPatch, level: str = "info") -> Iterator[io.StringIO]:
    """Standard error while our logs are configured; the root logger is put back afterwards."""
    root = logging.getLogger()
    handlers, before, raising = list(root.handlers), root.level, logging.raiseExceptions
    levels = {name: logging.getLogger(name).level for name in ("httpx", "httpcore", "asyncio")}
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logs(level)
    try:
        yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
        logging.raiseExceptions = raising
        for name, one in levels.items():
            logging.getLogger(name).setLevel(one)
        logging.getLogger("asyncio").filters.clear()


def _fail() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        raise ValueError(f"wrapped {SECRET}") from error


def test_a_line_says_when_where_and_what(monkeypatch: pytest.MonkeyPatch) -> None:
    with captured(monkeypatch) as stream:
        logging.getLogger("babysea.test").info("hello %s", "world", extra={"facts": {"count": 3}})
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert record.pop("time").endswith("+00:00")
    assert record == {"level": "info", "logger": "babysea.test", "message": "hello world", "count": 3}


def test_an_exception_is_logged_by_type_and_place_without_its_text_or_its_causes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with captured(monkeypatch) as stream:
        try:
            _fail()
        except ValueError:
            logging.getLogger("babysea.test").exception("a step failed")
    text = stream.getvalue()
    record = json.loads(text)
    assert (record["level"], record["message"], record["exception"]) == (
        "error",
        "a step failed",
        "ValueError",
    )
    assert record["at"].startswith("test_logs.py:")
    assert SECRET not in text


def test_a_message_of_several_lines_stays_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with captured(monkeypatch) as stream:
        logging.getLogger("babysea.test").warning("one\ntwo\r\nthree", stack_info=True)
    assert len(stream.getvalue().splitlines()) == 1


def test_lines_below_the_level_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with captured(monkeypatch, "warning") as stream:
        logging.getLogger("babysea.test").info("quiet")
        logging.getLogger("httpx").info("a URL")
    assert stream.getvalue() == ""


def test_requests_of_the_http_client_are_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    with captured(monkeypatch, "debug") as stream:
        logging.getLogger("httpx").info("GET https://provider.example/?token=secret")
        logging.getLogger("httpcore.connection").debug("headers")
    assert stream.getvalue() == ""


def test_a_record_without_a_traceback_is_still_a_line() -> None:
    record = logging.LogRecord(
        "x", logging.ERROR, "f.py", 1, "failed", (), (ValueError, ValueError(SECRET), None)
    )
    line = json.loads(JsonFormatter().format(record))
    assert line["exception"] == "ValueError"
    assert SECRET not in json.dumps(line)


def test_a_task_whose_exception_nobody_took_does_not_print_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgotten() -> None:
        async def fail() -> None:
            _fail()

        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        del task
        gc.collect()

    with captured(monkeypatch) as stream:
        asyncio.run(forgotten())
    assert "never retrieved" in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_a_message_that_cannot_be_rendered_does_not_print_its_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with captured(monkeypatch) as stream:
        logging.getLogger("babysea.test").info("%d items", SECRET)
    assert SECRET not in stream.getvalue()
