"""The part of a model's file that says which fields it has beyond the common ones."""

from __future__ import annotations

import re
from typing import cast

from server.catalog.field_map import read_field_map
from server.catalog.native_names import refuse_doubles
from server.catalog.table import Table
from server.catalog.types import Extra, ExtraType, ExtraValue, ProviderModel

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TYPES = ("bool", "int", "number", "enum", "string")
_EXACT = 2**53
_LONGEST_TEXT = 2000
_RESERVED = (
    "prompt",
    "ratio",
    "output_format",
    "output_number",
    "input_file",
    "input_file_last_content",
    "duration",
    "resolution",
    "generate_audio",
    "provider_order",
    "output_file",
)


def read_extras(file: Table, providers: tuple[ProviderModel, ...]) -> tuple[Extra, ...]:
    """Every `[[extra]]` of a model."""
    extras = tuple(_extra(table, providers) for table in file.tables("extra"))
    names = [extra.name for extra in extras]
    if len(set(names)) != len(names):
        raise file.error("extra", "names a field twice")
    for provider in providers:
        rules = [*provider.fields.values()]
        rules += [
            extra.native[provider.provider_id] for extra in extras if provider.provider_id in extra.native
        ]
        refuse_doubles(file, rules, provider.constants)
    return extras


def _extra(table: Table, providers: tuple[ProviderModel, ...]) -> Extra:
    name = table.text("name")
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise table.error("name", "must be a new name in lower case, without the prefix generation_")
    kind = cast("ExtraType", table.one_of("type", _TYPES))
    minimum, maximum = _bounds(table, kind)
    values = table.texts("values") if kind == "enum" else ()
    native_table = table.table("native")
    stack = [provider.provider_id for provider in providers]
    for provider_id in native_table.names():
        if provider_id not in stack:
            raise native_table.error(provider_id, "is not a provider of this model")
    keys = ("true", "false") if kind == "bool" else values or None
    extra = Extra(
        name=name,
        type=kind,
        minimum=minimum,
        maximum=maximum,
        values=values,
        default=_default(table, kind, minimum, maximum, values),
        native={each: read_field_map(native_table.table(each), keys) for each in native_table.names()},
    )
    table.finish()
    return extra


def _bounds(table: Table, kind: ExtraType) -> tuple[float | None, float | None]:
    if kind == "string":
        return None, float(table.whole("max", 1, _LONGEST_TEXT))
    if kind not in ("int", "number"):
        return None, None
    minimum, maximum = table.number("min"), table.number("max")
    if minimum >= maximum:
        raise table.error("max", "must be more than min")
    # JSON numbers arrive as doubles, which are exact whole numbers up to here.
    if kind == "int" and not (
        minimum.is_integer() and maximum.is_integer() and minimum > -_EXACT and maximum < _EXACT
    ):
        raise table.error("max", "and min must be whole numbers below 2^53")
    return minimum, maximum


def _default(
    table: Table, kind: ExtraType, minimum: float | None, maximum: float | None, values: tuple[str, ...]
) -> ExtraValue | None:
    if not table.has("default"):
        return None
    if kind == "bool":
        return table.flag("default")
    if kind == "enum":
        return table.one_of("default", values)
    if kind == "string":
        text = table.text("default")
        if maximum is not None and len(text) > maximum:
            raise table.error("default", "must not be longer than max")
        return text
    number: int | float = table.whole("default", -_EXACT) if kind == "int" else table.number("default")
    if minimum is None or maximum is None or not minimum <= number <= maximum:
        raise table.error("default", "must be between min and max")
    return number
