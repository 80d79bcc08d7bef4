"""models/*.toml: one model a file. What a file says about itself is checked here; `mapping_file` reads the maps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from server.catalog.extras_file import read_extras
from server.catalog.mapping_file import read_provider_model
from server.catalog.prices_file import read_rate_cards
from server.catalog.table import Table
from server.catalog.types import MediaName, Model, ProviderInfo

_IDENTIFIER = re.compile(r"[a-z0-9.-]+/[a-z0-9.-]+")
_RATIO = re.compile(r"[1-9][0-9]?:[1-9][0-9]?")
_FORMATS = {"image": ("png", "jpg", "webp"), "video": ("mp4",)}
_MOST_OUTPUTS = 16
_LONGEST_DEADLINE = 6 * 3600


def read_model(file: Table, known: Mapping[str, ProviderInfo]) -> Model:
    """The model of one file.

    Raises:
        CatalogError: the file has a missing, unknown or wrong key, or a value that a provider has no word for.
    """
    identifier = file.text("identifier")
    if not _IDENTIFIER.fullmatch(identifier):
        raise file.error("identifier", 'must look like "maker/model", in lower case')
    media = cast("MediaName", file.one_of("media", tuple(_FORMATS)))
    model = Model(
        identifier=identifier,
        media=media,
        providers=(),
        ratios=_ratios(file),
        formats=_formats(file, media),
        output_number_max=file.whole("output_number_max", 1, _MOST_OUTPUTS if media == "image" else 1),
        input_file_max=file.whole("input_file_max", 0, 16, default=0),
        last_content=file.flag("last_content", default=False),
        durations=file.numbers("durations") if media == "video" else (),
        resolutions=file.texts("resolutions", default=()) if media == "video" else (),
        audio=file.flag("audio", default=False) if media == "video" else False,
        extras=(),
        rate_cards=(),
        attempt_seconds=file.whole("attempt_seconds", 5, _LONGEST_DEADLINE),
        deadline_seconds=file.whole("deadline_seconds", 10, _LONGEST_DEADLINE),
    )
    if model.last_content and (media == "image" or model.input_file_max == 0):
        raise file.error("last_content", "needs a video model that takes a first frame in input_file")
    if model.deadline_seconds < model.attempt_seconds:
        raise file.error("deadline_seconds", "must not be less than attempt_seconds")
    return _completed(file, model, known)


def _completed(file: Table, model: Model, known: Mapping[str, ProviderInfo]) -> Model:
    cards = read_rate_cards(file, model)
    tables = file.tables("provider")
    if not tables:
        raise file.error("provider", "must name at least one provider")
    providers = tuple(read_provider_model(table, model, known) for table in tables)
    ids = [provider.provider_id for provider in providers]
    if len(set(ids)) != len(ids):
        raise file.error("provider", "names a provider twice")
    extras = read_extras(file, providers)
    file.finish()
    return replace(model, providers=providers, extras=extras, rate_cards=cards)


def _ratios(file: Table) -> tuple[str, ...]:
    ratios = file.texts("ratios")
    for ratio in ratios:
        if not _RATIO.fullmatch(ratio):
            raise file.error("ratios", f'holds {ratio!r}, which is not of the form "16:9"')
    return ratios


def _formats(file: Table, media: MediaName) -> tuple[str, ...]:
    formats = file.texts("formats")
    for each in formats:
        if each not in _FORMATS[media]:
            raise file.error(
                "formats", f"holds {each!r}; a model of this media makes {', '.join(_FORMATS[media])}"
            )
    return formats
