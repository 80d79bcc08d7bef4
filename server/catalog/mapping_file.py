"""The part of a model's file that says what each provider of the stack serves, and under which names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from server.catalog.field_map import read_field_map
from server.catalog.native_names import refuse_doubles
from server.catalog.prices_file import read_upstream
from server.catalog.table import Table
from server.catalog.types import (
    ExtraValue,
    FieldMap,
    Model,
    ProviderInfo,
    ProviderModel,
    UpstreamPrice,
    value_key,
)

_WORD = r"[A-Za-z0-9._-]+"
_PATH = re.compile(rf"@?{_WORD}([/;]{_WORD})*")
_LEFT_OUT = ("input_file", "input_file_last_content", "generate_audio")
"""What a provider may lack: a request that uses it goes to the others of the stack."""


def read_provider_model(table: Table, model: Model, known: Mapping[str, ProviderInfo]) -> ProviderModel:
    """One `[[provider]]` of a model, with a map for every field that the model's requests may use."""
    provider_id = table.one_of("id", tuple(known))
    if model.media not in known[provider_id].media:
        raise table.error("id", f"names a provider that makes no {model.media}")
    constants_table = table.table("constants")
    part = ProviderModel(
        provider_id=provider_id,
        path=_path(table, "path"),
        fields={},
        constants={name: constants_table.raw(name) for name in constants_table.names()},
        outputs_per_call=_fewer(table, "outputs_per_call", model.output_number_max) or 0,
        input_file_max=_fewer(table, "input_file_max", model.input_file_max),
        prompt_max=table.whole("prompt_max", 1) if table.has("prompt_max") else None,
        ratios=_served_words(table, "ratios", model.ratios),
        formats=_served_words(table, "formats", model.formats),
        durations=_served_durations(table, model.durations),
        resolutions=_served_words(table, "resolutions", model.resolutions),
        path_with_files=_path(table, "path_with_files") if table.has("path_with_files") else "",
        always_audible=table.flag("always_audible", default=False),
        closed=table.text("closed") if table.has("closed") else "",
    )
    part = replace(part, fields=_fields(table.table("fields"), model, part))
    _check_files(table, part)
    if part.always_audible and (not model.audio or part.says("generate_audio")):
        raise table.error("always_audible", "needs a model with audio whose generate_audio is dropped here")
    part = replace(part, upstream=_upstream(table, model, part))
    table.finish()
    refuse_doubles(table, part.fields.values(), part.constants)
    return part


def _path(table: Table, name: str) -> str:
    path = table.text(name)
    if not _PATH.fullmatch(path):
        raise table.error(name, 'must look like "owner/model"')
    return path


def _fewer(table: Table, name: str, of_model: int) -> int | None:
    if not table.has(name):
        return None
    if of_model < 2:
        raise table.error(name, "is needless, because the model takes no more than one")
    limit = table.whole(name, 1)
    if limit >= of_model:
        raise table.error(name, f"must be less than the model's own {of_model}, or be left out")
    return limit


def _served_words(table: Table, name: str, of_model: tuple[str, ...]) -> tuple[str, ...] | None:
    if not table.has(name):
        return None
    served = table.texts(name)
    _refuse_foreign(table, name, served, of_model)
    return served


def _served_durations(table: Table, of_model: tuple[float, ...]) -> tuple[float, ...] | None:
    if not table.has("durations"):
        return None
    served = table.numbers("durations")
    _refuse_foreign(table, "durations", served, of_model)
    return served


def _refuse_foreign(
    table: Table, name: str, served: tuple[ExtraValue, ...], of_model: tuple[ExtraValue, ...]
) -> None:
    for value in served:
        if value not in of_model:
            raise table.error(name, f"holds {value_key(value)!r}, which the model does not have")
    if len(served) == len(of_model):
        raise table.error(name, "holds everything that the model has; leave it out")


def _fields(table: Table, model: Model, part: ProviderModel) -> dict[str, FieldMap]:
    needed = _needed(model, part)
    fields: dict[str, FieldMap] = {}
    for name, values in needed.items():
        if not table.has(name):
            raise table.error(name, "is missing: say how the provider is told, or { drop = true }")
        rule = table.table(name)
        if rule.flag("drop", default=False):
            # A value that the customer chose and the provider never hears of would be paid for and not delivered.
            if name not in _LEFT_OUT and (values is None or len(values) != 1):
                raise rule.error("drop", "is possible only where the model leaves no choice")
            rule.finish()
            fields[name] = FieldMap("", {})
        else:
            several = name == "input_file" and (part.input_file_max or model.input_file_max) > 1
            fields[name] = read_field_map(rule, _keys(values), several=several)
    table.finish()
    return fields


def _needed(model: Model, part: ProviderModel) -> dict[str, tuple[ExtraValue, ...] | None]:
    """Every field that a request may use, with all values that the provider serves; None where they cannot be listed."""
    most = part.outputs_per_call or model.output_number_max
    needed: dict[str, tuple[ExtraValue, ...] | None] = {
        "prompt": None,
        "ratio": part.ratios or model.ratios,
        "output_format": part.formats or model.formats,
        "output_number": tuple(range(1, most + 1)),
    }
    if model.durations:
        needed["duration"] = part.durations or model.durations
    if model.resolutions:
        needed["resolution"] = part.resolutions or model.resolutions
    if model.audio:
        needed["generate_audio"] = (True, False)
    if model.input_file_max:
        needed["input_file"] = None
    if model.last_content:
        needed["input_file_last_content"] = None
    return needed


def _keys(values: tuple[ExtraValue, ...] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(value_key(value) for value in values)


def _check_files(table: Table, part: ProviderModel) -> None:
    takes_files = part.says("input_file")
    if part.path_with_files and not takes_files:
        raise table.error("path_with_files", "is of no use where the provider takes no input files")
    if part.input_file_max is not None and not takes_files:
        raise table.error("input_file_max", "is of no use where the provider takes no input files")
    if part.says("input_file_last_content") and not takes_files:
        raise table.error("fields.input_file_last_content", "needs a provider that takes a first frame too")


def _upstream(table: Table, model: Model, part: ProviderModel) -> UpstreamPrice | None:
    if not table.has("upstream"):
        return None
    return read_upstream(
        table.table("upstream"),
        model.media,
        part.ratios or model.ratios,
        part.resolutions or model.resolutions,
        audio=part.says("generate_audio"),
    )
