"""The text of docs/models.md: every model and provider of the built-in catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from kit.settings import Region
from server.catalog import Extra, Model, ProviderInfo, load_catalog
from server.catalog.types import ProviderModel, value_key

_HEAD = """\
# Models and providers

Made by `make docs` from `server/catalog/data`. `babysea catalog check` checks the same files. Prices are in dollars, for one
image or for one second of video, as customers pay them; one credit is one dollar. The first value of a list is the default.
"""
_MARKS = """\
*doc* is the provider's own documentation, *sdk* its official SDK, *assumed* what a real account may correct. A provider's
processing region is "global" where it does not say where it computes. A generation of an account with strict residency goes
only to providers that guarantee its region, and is refused (BSE3004) where its model has none of them.
"""


def models() -> str:
    """The page."""
    catalog = load_catalog()
    lines = [_HEAD, "## Models", ""]
    lines += _table(
        ("model", "media", "providers in static order", "price", "version"),
        (
            (f"[`{name}`](#{_anchor(name)})", model.media, ", ".join(model.provider_ids), _price(model),
             model.rate_cards[-1].version)
            for name, model in catalog.models.items()
        ),
    )  # fmt: skip
    lines += ["", "## Providers", "", _MARKS]
    lines += _table(("fact", *(info.name for info in catalog.providers.values())), _facts(catalog.providers))
    for name, model in catalog.models.items():
        lines += ["", f"## {name}", "", *_model(model)]
    return "\n".join(lines) + "\n"


def _anchor(name: str) -> str:
    return "".join(letter for letter in name if letter.isalnum() or letter in "-_")


def _facts(providers: Mapping[str, ProviderInfo]) -> Iterable[tuple[str, ...]]:
    infos = list(providers.values())
    yield ("id", *(f"`{info.provider_id}`" for info in infos))
    rows: dict[str, Callable[[ProviderInfo], str]] = {
        "media": lambda info: ", ".join(info.media),
        "delivery_method": lambda info: info.delivery_method,
        "cancel_method": lambda info: info.cancel_method or "none",
        "webhook_verification": lambda info: info.webhook_verification or "none",
        "callbacks": lambda info: _yes(info.callbacks),
        "lookup": lambda info: _yes(info.lookup),
        "min_poll_seconds": lambda info: f"{info.min_poll_seconds:g}",
        "output_lifetime_seconds": lambda info: f"{info.output_lifetime_seconds:,}",
        "processing_region": lambda info: _regional(info.processing_region),
        "endpoints": lambda info: _regional(info.endpoints),
        "residency_guaranteed": lambda info: ", ".join(info.residency_guaranteed) or "nowhere",
        "transfer_mechanism": lambda info: info.transfer_mechanism,
    }
    for fact, say in rows.items():
        yield (fact, *(f"{say(info)} *({info.sources[fact]})*" for info in infos))


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _regional(values: Mapping[Region, str]) -> str:
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return "; ".join(f"{region}: {value}" for region, value in values.items())


def _price(model: Model) -> str:
    card = model.rate_cards[-1]
    unit = "a second" if model.media == "video" else "an image"
    if card.flat_micros is not None:
        return f"{_dollars(card.flat_micros)} {unit}"
    tiers = ", ".join(f"{tier} {_dollars(micros)}" for tier, micros in card.tier_micros.items())
    return f"{tiers} {unit}"


def _dollars(micros: int) -> str:
    return format((Decimal(micros) / 1_000_000).normalize(), "f")


def _model(model: Model) -> list[str]:
    lines = [f"* ratios {_listed(model.ratios)}; formats {_listed(model.formats)}"]
    if model.media == "video":
        sound = "with or without audio" if model.audio else "without audio"
        resolutions = f"; resolutions {_listed(model.resolutions)}" if model.resolutions else ""
        lines.append(f"* {_seconds(model.durations)} seconds{resolutions}; {sound}")
    else:
        lines.append(
            f"* 1 to {model.output_number_max} images" if model.output_number_max > 1 else "* 1 image"
        )
    if model.input_file_max:
        last = ", and a last frame" if model.last_content else ""
        lines.append(f"* up to {_counted(model.input_file_max, 'input file')}{last}")
    lines.append(f"* an attempt has {model.attempt_seconds} s before the next provider may be tried, a generation "
                 f"{model.deadline_seconds} s")  # fmt: skip
    lines += [
        "",
        *_table(("provider", "its name", "serves less", "bills us"), map(_provider, model.providers)),
    ]
    if model.extras:
        header = ("further field", "type", "values", "default", "providers")
        lines += ["", *_table(header, map(_extra, model.extras))]
    return lines


def _provider(provider: ProviderModel) -> tuple[str, ...]:
    return (
        provider.provider_id,
        f"`{provider.native_name}`",
        "; ".join(_less(provider)) or "nothing",
        _upstream(provider),
    )


def _less(provider: ProviderModel) -> Iterable[str]:
    if provider.closed:
        yield f"nothing now: {provider.closed}"
    if provider.ratios:
        yield f"ratios {_listed(provider.ratios)}"
    if provider.formats:
        yield f"formats {_listed(provider.formats)}"
    if provider.durations:
        yield f"{_seconds(provider.durations)} s"
    if provider.resolutions:
        yield f"resolutions {_listed(provider.resolutions)}"
    if provider.prompt_max:
        yield f"prompts of {provider.prompt_max:,} characters"
    if provider.input_file_max:
        yield _counted(provider.input_file_max, "input file")
    for field, shown in (
        ("input_file", "no input files"),
        ("input_file_last_content", "no last frame"),
        ("generate_audio", "no audio"),
    ):
        if field in provider.fields and not provider.says(field):
            yield "only with audio" if field == "generate_audio" and provider.always_audible else shown
    if provider.outputs_per_call:
        yield f"{_counted(provider.outputs_per_call, 'output')} a call"


def _upstream(provider: ProviderModel) -> str:
    price = provider.upstream
    if price is None:
        return "unknown"
    more = f", each input file {_dollars(price.input_micros)}" if price.input_micros else ""
    if price.flat_micros is not None:
        each = " a video" if price.whole else ""
        apart = "".join(f", {ratio} {_dollars(micros)}" for ratio, micros in price.ratio_micros.items())
        return f"{_dollars(price.flat_micros)}{each}{apart}{more} *({price.source})*"
    tiers = ", ".join(f"{tier} {_dollars(micros)}" for tier, micros in price.tier_micros.items())
    return f"{tiers}{more} *({price.source})*"


def _extra(extra: Extra) -> tuple[str, ...]:
    if extra.values:
        values = _listed(extra.values)
    elif extra.type == "string":
        values = f"{extra.maximum:g} characters at most"
    elif extra.minimum is not None and extra.maximum is not None:
        values = f"{value_key(extra.minimum)} to {value_key(extra.maximum)}"
    else:
        values = "true, false"
    default = "none" if extra.default is None else value_key(extra.default)
    return f"`generation_{extra.name}`", extra.type, values, default, ", ".join(extra.native) or "none"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(values)


def _seconds(durations: tuple[float, ...]) -> str:
    whole = [int(each) for each in durations if each.is_integer()]
    if len(whole) == len(durations) > 2 and whole == list(range(whole[0], whole[-1] + 1)):
        return f"{whole[0]} to {whole[-1]}"
    return ", ".join(value_key(each) for each in durations)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
