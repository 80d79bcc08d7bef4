"""Money: integers of micro-dollars (1e-6 USD) inside, exact decimals outside; one credit is one USD."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

MICROS = 1_000_000
_LARGEST_EXPONENT = 20
"""More digits before the point are no amount; they would only take time."""
_EXACT = Context(prec=60)
"""Of our own: a caller's decimal context must not change an amount."""


def micros(dollars: Decimal | str | int) -> int:
    """Micro-dollars of an exact amount; half a micro-dollar rounds up.

    Raises:
        ValueError: the amount is not a finite number.
    """
    try:
        value = Decimal(dollars)
    except ArithmeticError as error:
        raise ValueError(f"{dollars!r} is not an amount of money") from error
    if not value.is_finite() or value.adjusted() > _LARGEST_EXPONENT:
        raise ValueError(f"{dollars!r} is not an amount of money")
    sign, digits, exponent = value.as_tuple()
    # The point is moved by hand: a product would be rounded to the context's digits first, and so twice.
    shifted = Decimal((sign, digits, int(exponent) + 6))
    return int(shifted.to_integral_value(rounding=ROUND_HALF_UP))


def dollars(amount_micros: int) -> Decimal:
    """The exact amount in dollars, without trailing zeros."""
    return _EXACT.add(_EXACT.divide(Decimal(amount_micros), MICROS).normalize(_EXACT), Decimal(0))


def json_number(amount_micros: int) -> int | float:
    """The amount in dollars as a JSON number.

    Amounts below a billion dollars have at most 15 significant digits, so the shortest decimal of the float is exact.
    """
    whole, rest = divmod(amount_micros, MICROS)
    return amount_micros / MICROS if rest else whole


def show(amount_micros: int) -> str:
    """The exact amount for people, with at least three decimals, for example "$0.005" or "$12.345678"."""
    text = f"{_EXACT.divide(Decimal(abs(amount_micros)), MICROS):.6f}"
    while text.endswith("0") and len(text.split(".")[1]) > 3:
        text = text[:-1]
    return f"{'-' if amount_micros < 0 else ''}${text}"
