"""The gateway's small parsers: hosts, addresses, ranges, queries, bodies, fields."""

from __future__ import annotations

import json
import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers, QueryParams

from babysea.common.v1 import error_reason_pb2
from gateway.address import client_address
from gateway.auth import check_bearer
from gateway.body import parse_object
from gateway.errors import CREATE_FIELDS, PAGE_FIELDS, public_error, public_field, retry_after, wire_details
from gateway.limits import RateFacts
from gateway.ranges import ByteRange, matches_etag, parse_range
from gateway.region import region_of_host
from gateway.v1 import query
from kit.errors import BabySeaError, invalid


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("api.us.babysea.ai", "us"),
        ("api.jp.babysea.ai.", "jp"),
        ("acme.api.eu.babysea.ai:443", "eu"),
        ("api.us.localhost:8080", "us"),
        ("us.babysea.ai", None),
        ("api.us.babysea.ai.evil.com", None),
        ("xapi.us.babysea.ai", None),
        ("api.fr.babysea.ai", None),
        ("127.0.0.1:8080", None),
        ("", None),
    ],
)
def test_only_our_own_names_name_a_region(host: str, region: str | None) -> None:
    assert region_of_host(host) == region


@pytest.mark.parametrize(
    ("peer", "forwarded", "hops", "address"),
    [
        ("192.0.2.1", ["198.51.100.9"], 0, "192.0.2.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.9"], 1, "198.51.100.9"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.9"], 2, "1.1.1.1"),
        ("10.0.0.1", ["198.51.100.9"], 2, "10.0.0.1"),
        ("10.0.0.1", ["unknown"], 1, "10.0.0.1"),
        ("10.0.0.1", [""], 1, "10.0.0.1"),
        ("10.0.0.1", ["fe80::1%eth0"], 1, "10.0.0.1"),
        ("::ffff:192.0.2.1", [], 0, "192.0.2.1"),
        ("2001:db8::1", [], 0, "2001:db8::1"),
        ("", [], 0, ""),
        ("testclient", [], 1, ""),
    ],
)
def test_the_address_comes_from_the_outermost_trusted_hop(
    peer: str, forwarded: list[str], hops: int, address: str
) -> None:
    assert client_address(peer, forwarded, hops) == address


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("", None),
        ("bytes=0-0", ByteRange(0, 0)),
        ("bytes=7-", ByteRange(7)),
        ("bytes=-7", ByteRange(suffix=7)),
        ("bytes=-0", ByteRange(suffix=0)),
        ("bytes=9-3", None),
        ("bytes=-", None),
        ("bytes=1-2,4-5", None),
        ("bytes= 1-2", None),
        ("items=1-2", None),
    ],
)
def test_a_range_is_single_and_well_formed_or_ignored(header: str | None, wanted: ByteRange | None) -> None:
    assert parse_range(header) == wanted


@given(st.integers(0, 10**40), st.integers(0, 10**40))
def test_no_range_leaves_64_bits(first: int, last: int) -> None:
    wanted = parse_range(f"bytes={first}-{last}")
    if wanted is not None:
        assert 0 <= wanted.first + wanted.length <= 2**63 - 1


def test_entity_tags_compare_strongly_or_weakly() -> None:
    assert matches_etag('W/"a", "b"', '"a"', weak=True)
    assert not matches_etag('W/"a", "b"', '"a"', weak=False)
    assert matches_etag("*", '"a"', weak=True)
    assert not matches_etag("*", '"a"', weak=False)
    assert not matches_etag(None, '"a"', weak=True)


@pytest.mark.parametrize("value", [None, "", "Basic x", "Bearer", "Bearer ", "Bearer   ", "bye_us_x"])
def test_something_that_is_no_bearer_token_asks_for_a_key(value: str | None) -> None:
    with pytest.raises(BabySeaError) as raised:
        check_bearer(Headers({} if value is None else {"authorization": value}))
    assert raised.value.reason == error_reason_pb2.ERROR_REASON_AUTHENTICATION_REQUIRED


@pytest.mark.parametrize("value", ["Bearer bye_us_x", "bearer bye_us_x", "Bearer  ses_x"])
def test_a_bearer_token_is_left_to_the_region(value: str) -> None:
    check_bearer(Headers({"authorization": value}))


@pytest.mark.parametrize("value", ["Bearer a\tb", "Bearer ü", "Bearer " + "x" * 501])
def test_a_token_that_cannot_travel_is_a_wrong_key(value: str) -> None:
    with pytest.raises(BabySeaError) as raised:
        check_bearer(Headers({"authorization": value}))
    assert raised.value.reason == error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED


@given(st.text(string.digits, min_size=1, max_size=40))
def test_a_whole_number_is_clamped(digits: str) -> None:
    value = query.whole_number(QueryParams({"limit": digits}), "limit", default=50, low=1, high=100)
    assert value == min(max(int(digits), 1), 100)


@given(st.text(max_size=10))
def test_a_query_never_raises_anything_but_our_error(text: str) -> None:
    parameters = QueryParams({"x": text})
    for read in (query.number, query.truth, query.text):
        with suppress(BabySeaError):
            read(parameters, "x")


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_raise_anything_but_our_error(data: bytes) -> None:
    with suppress(BabySeaError):
        parse_object(data)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), _VALUES))
def test_a_plain_object_is_read_as_it_was_written_unless_it_holds_a_nul(value: dict[str, object]) -> None:
    text = json.dumps(value)
    if "\\u0000" in text:
        return
    assert parse_object(text.encode()) == value


@pytest.mark.parametrize(
    ("field", "names", "public"),
    [
        ("ratio", CREATE_FIELDS, "generation_ratio"),
        ("extras.guidance_scale", CREATE_FIELDS, "generation_guidance_scale"),
        ("input_file[3]", CREATE_FIELDS, "generation_input_file"),
        ("page.page_size", PAGE_FIELDS, "limit"),
        ("page.offset", PAGE_FIELDS, "offset"),
        ("duration", {}, "duration"),
        ("model_identifier", CREATE_FIELDS, "model_identifier"),
    ],
)
def test_internal_fields_have_public_names(field: str, names: dict[str, str], public: str) -> None:
    assert public_field(field, names) == public


def test_a_sentence_that_begins_with_a_field_begins_with_its_public_name() -> None:
    told = public_error(invalid("input_file[3]", "input_file[3] must be a URL."), CREATE_FIELDS)
    assert told.message == "generation_input_file[3] must be a URL."
    assert told.details == {"field": "generation_input_file"}


def test_counts_in_details_become_integers() -> None:
    details = wire_details({"retry_after_seconds": "17", "limit": "60", "region": "us", "other": "5"})
    assert details == {"retry_after_seconds": 17, "limit": 60, "region": "us", "other": "5"}


def test_every_limited_reply_has_a_time_to_come_back() -> None:
    limited = error_reason_pb2.ERROR_REASON_RATE_LIMIT_EXCEEDED
    assert retry_after(BabySeaError(limited, details={"retry_after_seconds": "17"}), None) == 17
    assert retry_after(BabySeaError(limited, details={"retry_after_seconds": "0"}), None) == 1
    assert retry_after(BabySeaError(limited), RateFacts(60, 0, 0)) == 1
    assert retry_after(BabySeaError(limited), None) == 1
