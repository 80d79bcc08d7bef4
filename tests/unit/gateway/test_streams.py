"""How many file streams one file and one address may hold."""

from __future__ import annotations

from contextlib import ExitStack, suppress

import pytest

from gateway.limits import PER_ADDRESS, PER_FILE, FileStreams
from kit.errors import BabySeaError


def test_a_file_holds_so_many_streams_and_no_more_until_one_ends() -> None:
    streams = FileStreams()
    with ExitStack() as held:
        for number in range(PER_FILE):
            held.enter_context(streams.held("us", "one", f"192.0.2.{number}"))
        with pytest.raises(BabySeaError) as refused, streams.held("us", "one", "192.0.2.200"):
            pass
        assert refused.value.spec.bse_code == "BSE5002"
        assert refused.value.details == {"retry_after_seconds": "1"}
        with streams.held("us", "two", "192.0.2.200"), streams.held("eu", "one", "192.0.2.200"):
            pass
    with streams.held("us", "one", "192.0.2.200"):
        pass


def test_an_address_holds_so_many_streams_of_whatever_files() -> None:
    streams = FileStreams()
    with ExitStack() as held:
        for number in range(PER_ADDRESS):
            held.enter_context(streams.held("us", f"file {number}", f"2001:db8::{number:x}"))
        with pytest.raises(BabySeaError), streams.held("us", "another", "2001:db8::ffff"):
            pass
        with streams.held("us", "another", "2001:db8:0:1::1"):
            pass


def test_what_has_ended_leaves_nothing_behind() -> None:
    streams = FileStreams()
    with suppress(ValueError), streams.held("us", "one", "192.0.2.1"):
        assert streams.open == 2
        raise ValueError("broken")
    for _ in range(3 * PER_FILE):
        with streams.held("us", "one", ""):
            pass
    assert streams.open == 0
