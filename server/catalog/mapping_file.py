"""The part of a model's file that says how unified values are said to each provider."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

from server.catalog.table import Table
from server.catalog.types import (
    Extra,
    ExtraType,
    ExtraValue,
    FieldMap,
    Model,
    ProviderInfo,
    ProviderModel,
    value_key,
)

_PATH = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+")
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


def read_provider_model(table: Table, model: Model, known: Mapping[str, ProviderInfo]) -> ProviderModel:
    """One `[[provider]]` of a model, with a map for every field that the model's requests may use."""
    provider_id = table.one_of("id", tuple(known))
    if model.media not in known[provider_id].media:
        raise table.error("id", f"names a provider that makes no {model.media}")
    path = table.text("path")
    if not _PATH.fullmatch(path):
        raise table.error("path", 'must look like "owner/model"')
    constants_table = table.table("constants")
    constants = {name: constants_table.raw(name) for name in constants_table.names()}
    fields_table = table.table("fields")
    fields = {
        name: _field_map(
            fields_table.table(name), values, several=name == "input_file" and model.input_file_max > 1
        )
        for name, values in _needed(model).items()
        if _present(fields_table, name)
    }
    fields_table.finish()
    table.finish()
    _refuse_doubles(table, [each.to for each in fields.values()], constants)
    return ProviderModel(provider_id, path, fields, constants)


def read_extras(file: Table, providers: tuple[ProviderModel, ...]) -> tuple[Extra, ...]:
    """Every `[[extra]]` of a model."""
    extras = tuple(_extra(table, providers) for table in file.tables("extra"))
    names = [extra.name for extra in extras]
    if len(set(names)) != len(names):
        raise file.error("extra", "names a field twice")
    for provider in providers:
        taken = [each.to for each in provider.fields.values()]
        taken += [
            extra.native[provider.provider_id].to for extra in extras if provider.provider_id in extra.native
        ]
        _refuse_doubles(file, taken, provider.constants)
    return extras


def _needed(model: Model) -> dict[str, tuple[ExtraValue, ...] | None]:
    """Every field that a request to the model may use, with all its values; None where they cannot be listed."""
    counts = tuple(range(1, model.output_number_max + 1))
    needed: dict[str, tuple[ExtraValue, ...] | None] = {
        "prompt": None,
        "ratio": model.ratios,
        "output_format": model.formats,
        "output_number": counts,
    }
    if model.durations:
        needed["duration"] = model.durations
    if model.resolutions:
        needed["resolution"] = model.resolutions
    if model.audio:
        needed["generate_audio"] = (True, False)
    if model.input_file_max:
        needed["input_file"] = None
    if model.last_content:
        needed["input_file_last_content"] = None
    return needed


def _present(fields: Table, name: str) -> bool:
    if not fields.has(name):
        raise fields.error(name, "is missing: say how the provider is told, or { drop = true }")
    return True


def _field_map(table: Table, values: tuple[ExtraValue, ...] | None, *, several: bool = False) -> FieldMap:
    if table.flag("drop", default=False):
        # A value that the customer chose and the provider never hears of would be paid for and not delivered.
        if values is None or len(values) != 1:
            raise table.error("drop", "is possible only where the model leaves no choice")
        table.finish()
        return FieldMap("", {})
    native = table.text("to")
    as_list = table.flag("list", default=False)
    if several and not as_list:
        raise table.error("list", "must be true, because the model takes several files")
    words_table = table.table("values")
    words = {key: words_table.raw(key) for key in words_table.names()}
    wanted = {value_key(value) for value in values or ()}
    if words and values is None:
        raise table.error("values", "cannot be given for a field whose values cannot be listed")
    if words:
        for key in sorted(wanted - set(words)):
            raise words_table.error(key, "is missing: the provider has no word for a value of the model")
        for key in sorted(set(words) - wanted):
            raise words_table.error(key, "is not a value of the model")
    table.finish()
    return FieldMap(native, words, as_list)


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
    listed: tuple[ExtraValue, ...] | None = (True, False) if kind == "bool" else values or None
    extra = Extra(
        name=name,
        type=kind,
        minimum=minimum,
        maximum=maximum,
        values=values,
        default=_default(table, kind, minimum, maximum, values),
        native={each: _field_map(native_table.table(each), listed) for each in native_table.names()},
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


def _refuse_doubles(table: Table, names: Iterable[str], constants: Mapping[str, object]) -> None:
    seen = set(constants)
    for name in filter(None, names):
        if name in seen:
            raise table.error("fields", f"say the native parameter {name!r} twice")
        seen.add(name)
