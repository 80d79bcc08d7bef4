"""Every value of every model is said to every provider that serves it, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from server.catalog import Extra, Model, ProviderModel, load_catalog
from server.catalog.check import served
from server.catalog.types import ExtraValue
from server.generation.request import GenerationRequest
from server.providers.mapping import native_parameters
from server.providers.serving import why_not
from tests.unit.server.providers.test_mapping import A, request

CATALOG = load_catalog()
PAIRS = [
    (model, provider)
    for model in CATALOG.models.values()
    for provider in model.providers
    if not provider.closed
]


def named(pair: object) -> str:
    return pair.identifier if isinstance(pair, Model) else str(getattr(pair, "provider_id", pair))


def told(words: object, to: str) -> object:
    """What stands at a dotted name."""
    for step in to.split("."):
        assert isinstance(words, Mapping), to
        words = words[step]
    return words


def served_request(model: Model, provider: ProviderModel, **fields: object) -> GenerationRequest:
    """A request for what the provider serves of each field."""
    offer: dict[str, object] = {name: values[0] for name, values in served(model, provider).items() if values}
    if provider.always_audible:
        offer["generate_audio"] = True
    return request(model.identifier, **(offer | fields))


@pytest.mark.parametrize(("model", "provider"), PAIRS, ids=named)
def test_every_listed_value_has_its_word(model: Model, provider: ProviderModel) -> None:
    for field, values in served(model, provider).items():
        rule = provider.fields.get(field)
        for value in values:
            asked = served_request(model, provider, **{field: value})
            assert why_not(provider, asked) is None
            words = native_parameters(model, provider, asked, 1)
            json.dumps(words, allow_nan=False)
            if rule is not None and rule.in_data and rule.to != ".":
                assert told(words, rule.to) == rule.native(value)
            elif rule is not None and rule.to == ".":
                word = rule.native(value)
                assert isinstance(word, dict)
                assert all(told(words, name) == inner for name, inner in word.items())


@pytest.mark.parametrize(("model", "provider"), PAIRS, ids=named)
def test_words_differ_where_values_do(model: Model, provider: ProviderModel) -> None:
    for field, values in served(model, provider).items():
        rule = provider.fields.get(field)
        if rule is not None and rule.in_data:
            asked = [served_request(model, provider, **{field: value}) for value in values]
            said = {json.dumps(native_parameters(model, provider, each, 1), sort_keys=True) for each in asked}
            assert len(said) == len(values), field


@pytest.mark.parametrize(("model", "provider"), PAIRS, ids=named)
def test_every_number_of_outputs_of_a_call_is_said_or_is_one(model: Model, provider: ProviderModel) -> None:
    rule = provider.fields["output_number"]
    for outputs in range(1, (provider.outputs_per_call or model.output_number_max) + 1):
        words = native_parameters(model, provider, served_request(model, provider), outputs)
        assert told(words, rule.to) == outputs if rule.to else outputs == 1


@pytest.mark.parametrize(("model", "provider"), PAIRS, ids=named)
def test_files_and_sound_are_said_or_the_request_goes_elsewhere(
    model: Model, provider: ProviderModel
) -> None:
    uses: dict[str, dict[str, object]] = {}
    if model.input_file_max:
        uses["input_file"] = {"input_file": (A,)}
    if model.last_content:
        uses["input_file_last_content"] = {"input_file": (A,), "input_file_last_content": A}
    if model.audio:
        uses["generate_audio"] = {"generate_audio": True}
    for field, fields in uses.items():
        asked = served_request(model, provider, **fields)
        can = provider.makes_audio if field == "generate_audio" else provider.says(field)
        assert (why_not(provider, asked) is None) == can
        rule = provider.fields[field]
        if rule.in_data:
            said = told(native_parameters(model, provider, asked, 1), rule.to)
            assert said in (A, [A], True)


@pytest.mark.parametrize(("model", "provider"), PAIRS, ids=named)
def test_every_value_of_an_extra_has_its_word_or_is_left_out(model: Model, provider: ProviderModel) -> None:
    bare = native_parameters(model, provider, served_request(model, provider), 1)
    for extra in model.extras:
        rule = extra.native.get(provider.provider_id)
        for value in values_of(extra):
            asked = served_request(model, provider, extras={extra.name: value})
            words = native_parameters(model, provider, asked, 1)
            if rule is None:
                assert words == bare
            elif rule.to == ".":
                word = rule.native(value)
                assert isinstance(word, dict)
                assert word.items() <= words.items()
            else:
                assert told(words, rule.to) == rule.native(value)


@pytest.mark.parametrize(("model", "provider"), PAIRS, ids=named)
def test_the_prompt_is_said_once(model: Model, provider: ProviderModel) -> None:
    words = json.dumps(native_parameters(model, provider, served_request(model, provider), 1))
    assert words.count("a lighthouse") == (1 if provider.fields["prompt"].in_data else 0)


def values_of(extra: Extra) -> Iterator[ExtraValue]:
    if extra.type == "bool":
        yield from (True, False)
    elif extra.type == "enum":
        yield from extra.values
    elif extra.type == "string":
        yield "a text"
    elif extra.minimum is not None and extra.maximum is not None:
        whole = extra.type == "int"
        yield from (int(extra.minimum), int(extra.maximum)) if whole else (extra.minimum, extra.maximum)
