"""Identifiers: version 7 by shape, ordered by time, derived ones always the same."""

from __future__ import annotations

import string
from uuid import RFC_4122, UUID

from hypothesis import assume, given
from hypothesis import strategies as st

from kit.ids import base62, derived_uuid7, random_base62, request_id, uuid7

MILLIS = st.integers(0, 2**48 - 1)
SEEDS = st.builds(uuid7, MILLIS)
PARTS = st.lists(st.binary(max_size=40), max_size=4)
ALPHABET = set(string.digits + string.ascii_letters)


def millis_of(id_: UUID) -> int:
    """The time in an id."""
    return id_.int >> 80


def is_v7(id_: UUID) -> bool:
    """Whether version and variant are those of RFC 9562."""
    return id_.version == 7 and id_.variant == RFC_4122


@given(MILLIS)
def test_an_id_is_a_version_7_uuid_that_begins_with_its_time(millis: int) -> None:
    id_ = uuid7(millis)
    assert is_v7(id_)
    assert millis_of(id_) == millis


@given(MILLIS, MILLIS)
def test_ids_are_ordered_by_their_milliseconds(one: int, two: int) -> None:
    assume(one < two)
    assert uuid7(one) < uuid7(two)
    assert str(uuid7(one)) < str(uuid7(two))


def test_ids_made_one_after_the_other_never_go_back_in_time_and_never_repeat() -> None:
    ids = [uuid7() for _ in range(5_000)]
    times = [millis_of(id_) for id_ in ids]
    assert times == sorted(times)
    assert len(set(ids)) == len(ids)


@given(SEEDS, PARTS)
def test_a_derived_id_is_always_the_same_and_keeps_its_seeds_time(seed: UUID, parts: list[bytes]) -> None:
    id_ = derived_uuid7(seed, *parts)
    assert id_ == derived_uuid7(seed, *parts)
    assert is_v7(id_)
    assert millis_of(id_) == millis_of(seed)
    assert id_ != seed


@given(SEEDS, SEEDS, PARTS, PARTS)
def test_different_arguments_derive_different_ids(
    one: UUID, two: UUID, left: list[bytes], right: list[bytes]
) -> None:
    assume((one, left) != (two, right))
    assert derived_uuid7(one, *left) != derived_uuid7(two, *right)


@given(SEEDS, st.binary(min_size=1, max_size=20), st.integers(0, 20))
def test_where_a_part_ends_matters(seed: UUID, joined: bytes, cut: int) -> None:
    cut = min(cut, len(joined))
    assert derived_uuid7(seed, joined[:cut], joined[cut:]) != derived_uuid7(seed, joined)


@given(st.integers(0, 2**128 - 1))
def test_base62_is_of_its_width_and_can_be_read_back(number: int) -> None:
    text = base62(number, 22)
    assert len(text) == 22
    assert set(text) <= ALPHABET
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    value = 0
    for character in text:
        value = value * 62 + alphabet.index(character)
    assert value == number


def test_request_ids_are_opaque_and_do_not_repeat() -> None:
    ids = {request_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(id_.startswith("req_") and len(id_) == 26 and set(id_[4:]) <= ALPHABET for id_ in ids)


def test_random_text_has_its_width() -> None:
    assert [len(random_base62(width)) for width in (0, 1, 32)] == [0, 1, 32]
    assert random_base62(32) != random_base62(32)
