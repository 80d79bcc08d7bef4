"""What a provider cannot serve, found out before anything is sent to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from server.catalog.types import Model, ProviderModel
from server.generation.request import GenerationRequest


@dataclass(frozen=True, slots=True)
class Unserved:
    """What of a request a provider cannot serve."""

    field: str
    """The proto's name of the field."""
    sentence: str
    """Without the request's content."""


def why_not(provider_model: ProviderModel, request: GenerationRequest) -> str | None:
    """Why a provider cannot serve this request, as one sentence without its content; None when it can."""
    found = next(_problems(provider_model, request), None)
    return None if found is None else found.sentence


def served_by_none(model: Model, providers: Iterable[str], request: GenerationRequest) -> Unserved | None:
    """What keeps each of these providers from serving this request; None when one of them can.

    Where they differ, it is what the first of them lacks.
    """
    problems = [list(_problems(model.provider(provider), request)) for provider in providers]
    if not problems or not all(problems):
        return None
    shared = set.intersection(*({problem.field for problem in of_one} for of_one in problems))
    return next((problem for problem in problems[0] if problem.field in shared), problems[0][0])


def _problems(provider_model: ProviderModel, request: GenerationRequest) -> Iterator[Unserved]:
    if provider_model.closed:
        yield Unserved("provider_order", provider_model.closed)
    limits = (
        ("ratio", "ratio", request.ratio, provider_model.ratios),
        ("output_format", "output format", request.output_format, provider_model.formats),
        ("duration", "duration", request.duration, provider_model.durations),
        ("resolution", "resolution", request.resolution, provider_model.resolutions),
    )
    for field, what, value, served in limits:
        if value is not None and served is not None and value not in served:
            yield Unserved(field, f"This provider does not serve the {what} that was asked for.")
    if provider_model.prompt_max is not None and _utf16_units(request.prompt) > provider_model.prompt_max:
        yield Unserved("prompt", "This provider takes a shorter prompt only.")
    files = len(request.input_file)
    if files and not provider_model.says("input_file"):
        yield Unserved("input_file", "This provider takes no input files for this model.")
    elif provider_model.input_file_max is not None and files > provider_model.input_file_max:
        yield Unserved("input_file", "This provider takes fewer input files than were given.")
    if request.input_file_last_content and not provider_model.says("input_file_last_content"):
        yield Unserved("input_file_last_content", "This provider takes no last frame for this model.")
    if request.generate_audio and not provider_model.makes_audio:
        yield Unserved("generate_audio", "This provider makes no audio for this model.")
    if request.generate_audio is False and provider_model.always_audible:
        yield Unserved("generate_audio", "This provider makes this model's videos only with audio.")


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
