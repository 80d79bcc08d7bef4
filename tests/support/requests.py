"""Random requests: what models allow, and what they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

from babysea.generation.v1.generation_service_pb2 import CreateGenerationRequest
from server.catalog import Extra, Model, load_catalog

CATALOG = load_catalog()
PROMPT_MOST = 32_000
"""Characters that the contract allows a prompt."""
_SHORT = 40
_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_PIECES = st.sampled_from(["a", "a red cube, ", "\u9577", "\U0001f9ca", "\U0001f9ca cube "])
"""Of one, three and four bytes in UTF-8, and of one and two units in UTF-16."""
TEXT = st.text(_CHARACTERS, min_size=1, max_size=_SHORT)
"""Any short text."""
URLS = st.sampled_from(["https://example.com/a.png", "https://8.8.8.8/b?c=d"])


@st.composite
def texts(draw: st.DrawFn, most: int) -> str:
    """A text of at most so many characters: a short one, or rarely a long one, which is one piece again and again."""
    if draw(st.sampled_from(("short", "short", "long"))) == "short":
        return draw(st.text(_CHARACTERS, min_size=1, max_size=min(most, _SHORT)))
    piece = draw(_PIECES | TEXT)
    # Numbers alone would mostly be small ones.
    length = draw(st.sampled_from((most, most // 3)) | st.integers(1, most))
    return (piece * (length // len(piece) + 1))[:length]


def extra_values(extra: Extra) -> st.SearchStrategy[Any]:
    """Any value of a model-specific field."""
    if extra.type == "bool":
        return st.booleans()
    if extra.type == "enum":
        return st.sampled_from(extra.values)
    assert extra.maximum is not None
    if extra.type == "string":
        return texts(int(extra.maximum))
    assert extra.minimum is not None
    if extra.type == "int":
        return st.integers(int(extra.minimum), int(extra.maximum)).map(float)
    return st.floats(extra.minimum, extra.maximum)


class Allowed(NamedTuple):
    """A request and its model, told in few words when it fails a test."""

    model: Model
    message: CreateGenerationRequest

    def __repr__(self) -> str:
        words = CreateGenerationRequest()
        words.CopyFrom(self.message)
        words.prompt = f"{words.prompt[:_SHORT]} ({len(words.prompt)} characters)"
        return " ".join(str(words).split())[:2_000]


@st.composite
def allowed(draw: st.DrawFn) -> Allowed:
    """A create call of any model that says only what the model's schema allows."""
    model = CATALOG.models[draw(st.sampled_from(sorted(CATALOG.models)))]
    message = CreateGenerationRequest(
        model_identifier=model.identifier,
        media=model.media_value,
        prompt=draw(texts(PROMPT_MOST).filter(lambda text: bool(text.strip()))),
        ratio=draw(st.sampled_from(("", *model.ratios))),
        output_format=draw(st.sampled_from(("", *model.formats))),
        output_number=draw(st.none() | st.integers(1, model.output_number_max)),
        input_file=draw(st.lists(URLS, max_size=model.input_file_max)),
        duration=draw(st.sampled_from(model.durations)) if model.durations else None,
        resolution=draw(st.sampled_from(("", *model.resolutions))),
        generate_audio=draw(st.none() | st.booleans()) if model.audio else None,
    )
    if model.last_content and message.input_file:
        message.input_file_last_content = draw(st.just("") | URLS)
    for extra in model.extras:
        value = draw(st.none() | extra_values(extra))
        if value is not None:
            message.extras.update({extra.name: value})
    return Allowed(model, message)


Spoiled = tuple[CreateGenerationRequest, str]
"""A request, and the proto's name of the one field that is wrong."""


@st.composite
def refused(draw: st.DrawFn) -> Spoiled:
    """A create call of any model with one thing wrong."""
    model, message = draw(allowed())
    spoil = draw(st.sampled_from([each for each in _SPOILS if each[1](model)]))[0]
    return message, spoil(draw, model, message)


def _prompt(draw: st.DrawFn, model: Model, message: CreateGenerationRequest) -> str:
    message.prompt = draw(st.sampled_from(["", " ", "\n\t", "a\0b"]))
    return "prompt"


def _ratio(draw: st.DrawFn, model: Model, message: CreateGenerationRequest) -> str:
    message.ratio = draw(TEXT.filter(lambda text: text not in model.ratios) | st.just("16:10"))
    return "ratio"


def _format(draw: st.DrawFn, model: Model, message: CreateGenerationRequest) -> str:
    message.output_format = draw(st.sampled_from(["gif", "PNG", "tiff", "mov"]))
    return "output_format"


def _number(draw: st.DrawFn, model: Model, message: CreateGenerationRequest) -> str:
    message.output_number = draw(
        st.integers(-(2**31), 0) | st.integers(model.output_number_max + 1, 2**31 - 1)
    )
    return "output_number"


def _files(draw: st.DrawFn, model: Model, message: CreateGenerationRequest) -> str:
    del message.input_file[:]
    message.input_file_last_content = ""
    message.input_file.extend(["https://example.com/a.png"] * draw(st.integers(model.input_file_max + 1, 20)))
    return "input_file"


def _file(draw: st.DrawFn, model: Model, message: CreateGenerationRequest) -> str:
    del message.input_file[:]
    bad = ["ftp://example.com/a", "example.com/a.png", "http://169.254.169.254/a", "http://[::1]/a", "x"]
    message.input_file.append(draw(st.sampled_from(bad)))
    return "input_file"


def _last(draw: st.DrawFn, model: Model, message: CreateGenerationRequest) -> str:
    message.input_file_last_content = "https://example.com/a.png"
    if model.last_content:
        del message.input_file[:]
    return "input_file_last_content"


def _duration(draw: st.DrawFn, model: Model, message: CreateGenerationRequest) -> str:
    message.duration = draw(st.floats(width=32).filter(lambda seconds: seconds not in model.durations))
    return "duration"


def _resolution(draw: st.DrawFn, model: Model, message: CreateGenerationRequest) -> str:
    message.resolution = draw(st.sampled_from(["8k", "720", "0p"]))
    return "resolution"


def _audio(draw: st.DrawFn, model: Model, message: CreateGenerationRequest) -> str:
    message.generate_audio = True
    return "generate_audio"


def _unknown(draw: st.DrawFn, model: Model, message: CreateGenerationRequest) -> str:
    message.extras.update({"no_such_field": draw(st.booleans() | st.floats(-9, 9))})
    return "extras.no_such_field"


def _extra(draw: st.DrawFn, model: Model, message: CreateGenerationRequest) -> str:
    extra = draw(st.sampled_from(model.extras))
    # No field takes a list, and none takes a number beyond all bounds.
    number = extra.type in ("int", "number")
    message.extras.update(
        {extra.name: draw(st.sampled_from([[], None, 1e300, -1e300] if number else [[], None, 7]))}
    )
    return f"extras.{extra.name}"


def _always(model: Model) -> bool:
    return True


_SPOILS: tuple[
    tuple[Callable[[st.DrawFn, Model, CreateGenerationRequest], str], Callable[[Model], bool]], ...
] = (
    (_prompt, _always),
    (_ratio, _always),
    (_format, _always),
    (_number, _always),
    (_files, _always),
    (_file, lambda model: model.input_file_max > 0),
    (_last, _always),
    (_duration, _always),
    (_resolution, _always),
    (_audio, lambda model: not model.audio),
    (_unknown, _always),
    (_extra, lambda model: bool(model.extras)),
)
