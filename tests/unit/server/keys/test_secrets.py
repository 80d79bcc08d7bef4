"""The text of API keys."""

from __future__ import annotations

import string

from hypothesis import assume, given
from hypothesis import strategies as st

from server.keys.secrets import KeyText, new_key, parse_key, shown_prefix

BASE62 = string.digits + string.ascii_letters
PRINTABLE = string.digits + string.ascii_letters + string.punctuation + " "

keys = st.builds(
    KeyText,
    region=st.sampled_from(["us", "eu", "jp"]),
    public_id=st.text(BASE62, min_size=12, max_size=12),
    secret=st.text(BASE62, min_size=32, max_size=32),
)


@given(keys)
def test_a_key_is_read_as_it_was_written(key: KeyText) -> None:
    text = key.whole()
    assert len(text) == len("bye_us_") + 12 + 1 + 32 + 6
    assert parse_key(text) == key
    assert text.startswith(shown_prefix(key.region, key.public_id) + "_")


@given(keys, st.data())
def test_a_key_with_any_one_character_changed_is_no_key(key: KeyText, data: st.DataObject) -> None:
    text = key.whole()
    position = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(PRINTABLE))
    assume(other != text[position])
    assert parse_key(text[:position] + other + text[position + 1 :]) is None


@given(keys, st.integers(0, 57))
def test_a_key_with_two_neighbours_swapped_is_no_key(key: KeyText, position: int) -> None:
    text = key.whole()
    position = min(position, len(text) - 2)
    swapped = text[:position] + text[position + 1] + text[position] + text[position + 2 :]
    assume(swapped != text)
    assert parse_key(swapped) is None


@given(st.text(max_size=80))
def test_text_that_is_no_key_is_no_key(text: str) -> None:
    assert parse_key(text) is None


def test_a_key_with_anything_around_it_is_no_key() -> None:
    text = new_key("us").whole()
    for wrong in (text + "\n", " " + text, text + text, text[:-1], text.upper()):
        assert parse_key(wrong) is None


def test_two_new_keys_share_nothing() -> None:
    one, other = new_key("eu"), new_key("eu")
    assert one.public_id != other.public_id
    assert one.secret != other.secret


def test_the_secret_is_not_shown_when_a_key_is_printed() -> None:
    key = new_key("us")
    assert key.secret not in repr(key)
