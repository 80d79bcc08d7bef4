"""Money is exact: no amount changes on its way between dollars, micro-dollars and JSON."""

from __future__ import annotations

import json
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.money import MICROS, dollars, json_number, micros, show

AMOUNTS = st.integers(-(2**63), 2**63 - 1)
JSON_AMOUNTS = st.integers(-(10**15) + 1, 10**15 - 1)
PRICES = st.integers(0, 10**30)
"""Digits of a price; the point is set apart."""


@given(AMOUNTS)
def test_micro_dollars_survive_the_way_to_dollars_and_back(amount: int) -> None:
    assert micros(dollars(amount)) == amount
    assert micros(str(dollars(amount))) == amount
    assert Fraction(dollars(amount)) == Fraction(amount, MICROS)


@given(st.integers(-(10**12), 10**12))
def test_whole_dollars_are_a_million_each(amount: int) -> None:
    assert micros(amount) == amount * MICROS


@given(PRICES, st.integers(0, 40))
def test_an_amount_is_rounded_once_and_half_a_micro_dollar_goes_up(digits: int, places: int) -> None:
    amount = Decimal((0, tuple(int(digit) for digit in str(digits)), -places))
    exact = Fraction(digits, 10**places) * MICROS
    if exact >= 10**20:
        return
    assert micros(amount) == floor(exact + Fraction(1, 2))


def test_just_below_half_a_micro_dollar_is_not_rounded_up_however_many_digits_say_so() -> None:
    assert micros("0.0000004999") == 0
    assert micros("0.0000005") == 1
    assert micros("0.00000049999999999999999999999999999999999999") == 0


def test_the_callers_decimal_context_changes_nothing() -> None:
    with localcontext(Context(prec=5)):
        assert micros("123456.789012") == 123_456_789_012
        assert dollars(123_456_789_012) == Decimal("123456.789012")
        assert show(123_456_789_012) == "$123456.789012"


@pytest.mark.parametrize("text", ["", "abc", "NaN", "sNaN", "Infinity", "-Infinity", "1,5", "$5", "0x10"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of money"):
        micros(text)


@given(AMOUNTS)
def test_dollars_are_written_without_exponent_and_without_trailing_zeros(amount: int) -> None:
    text = str(dollars(amount))
    assert "E" not in text.upper() or abs(amount) < 10
    assert "." not in text or not text.endswith("0")


@given(JSON_AMOUNTS)
def test_a_json_number_reads_back_as_the_exact_amount(amount: int) -> None:
    text = json.dumps(json_number(amount))
    assert json.loads(text, parse_float=Decimal, parse_int=Decimal) == dollars(amount)


@given(JSON_AMOUNTS)
def test_whole_dollars_are_json_integers(amount: int) -> None:
    assert isinstance(json_number(amount), int) == (amount % MICROS == 0)


@given(AMOUNTS)
def test_people_read_the_exact_amount_with_at_least_three_decimals(amount: int) -> None:
    text = show(amount)
    assert Decimal(text.replace("$", "")) * MICROS == amount
    assert 3 <= len(text.split(".")[1]) <= 6
    assert text.startswith("-$" if amount < 0 else "$")


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "$0.000"), (5_000, "$0.005"), (12_345_678, "$12.345678"), (-1, "-$0.000001"), (10**7, "$10.000")],
)
def test_amounts_for_people(amount: int, text: str) -> None:
    assert show(amount) == text
