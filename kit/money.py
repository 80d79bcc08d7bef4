"""Money: integers of micro-dollars (1e-6 USD) inside, exact decimals outside; one credit is one USD."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

MICROS = 1_000_000


def micros(dollars: Decimal | str | int) -> int:
    """Micro-dollars of an exact amount; half a micro-dollar rounds up.

    Raises:
        ValueError: the amount is not a finite number.
    """
    try:
        value = Decimal(dollars)
        return int((value * MICROS).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    except ArithmeticError as error:
        raise ValueError(f"{dollars!r} is not an amount of money") from error


def dollars(amount_micros: int) -> Decimal:
    """The exact amount in dollars, without trailing zeros."""
    return (Decimal(amount_micros) / MICROS).normalize() + Decimal(0)


def json_number(amount_micros: int) -> int | float:
    """The amount in dollars as a JSON number.

    Amounts below a billion dollars have at most 15 significant digits, so the shortest decimal of the float is exact.
    """
    whole, rest = divmod(amount_micros, MICROS)
    return amount_micros / MICROS if rest else whole


def show(amount_micros: int) -> str:
    """The exact amount for people, with at least three decimals, for example "$0.005" or "$12.345678"."""
    text = f"{Decimal(abs(amount_micros)) / MICROS:.6f}"
    while text.endswith("0") and len(text.split(".")[1]) > 3:
        text = text[:-1]
    return f"{'-' if amount_micros < 0 else ''}${text}"
