"""A customer's request in one normal form: checked against its model, defaults filled in, ready to price and send."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

from google.protobuf import struct_pb2

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import generation_service_pb2
from kit.errors import BabySeaError, invalid, out_of_range
from server.catalog.types import Catalog, Extra, ExtraValue, MediaName, Model, plain_number
from server.providers.addresses import url_problem

_VERSION = 1
_VERSION_WITH_FAILOVER = 2
"""Of requests that let content policies fail over; the others keep version 1, so that their fingerprints stay."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What to make. Every field is allowed by the model, and none needs a default any more."""

    model_identifier: str
    media: MediaName
    prompt: str
    ratio: str
    output_format: str
    output_number: int
    input_file: tuple[str, ...]
    input_file_last_content: str
    """Empty for none."""
    duration: float | None
    """Seconds of a video; None for images."""
    resolution: str | None
    """None where the model has nothing to choose."""
    generate_audio: bool | None
    """None for images and for models that make no audio."""
    extras: Mapping[str, ExtraValue]
    content_policy_failover: bool = False
    """Whether another provider may be asked when the content policy of one refuses."""

    def to_json(self) -> bytes:
        """The request as canonical JSON: equal requests give equal bytes, for encryption and for fingerprints."""
        fields = {
            "version": _VERSION_WITH_FAILOVER if self.content_policy_failover else _VERSION,
            **asdict(self),
        }
        if not self.content_policy_failover:
            del fields["content_policy_failover"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, content: bytes) -> GenerationRequest:
        """The request that `to_json` wrote.

        Raises:
            ValueError: these are not such bytes, or a version that this program does not know.
        """
        fields = json.loads(content)
        if not isinstance(fields, dict):
            raise ValueError("a stored request is no object")
        version = fields.pop("version", None)
        if version == _VERSION:
            fields["content_policy_failover"] = False
        elif version != _VERSION_WITH_FAILOVER:
            raise ValueError("a stored request has a version that this program does not know")
        fields["input_file"] = tuple(fields["input_file"])
        if set(fields) != set(cls.__dataclass_fields__):
            raise ValueError("a stored request does not have the fields of its version")
        return cls(**fields)


def normalise(
    catalog: Catalog,
    message: generation_service_pb2.CreateGenerationRequest,
    *,
    allow_private: bool = False,
) -> GenerationRequest:
    """The normal form of a create call. `allow_private` lets input files come from private addresses.

    Raises:
        BabySeaError: MODEL_NOT_FOUND; MODEL_TYPE_MISMATCH when the route makes other media; INVALID_INPUT for what
            is malformed, unknown or outside an enum, and PARAMETER_OUT_OF_RANGE for numbers, both with the proto's
            name of the field in details["field"].
    """
    model = catalog.model(message.model_identifier)
    if message.media != model.media_value:
        raise BabySeaError(
            error_reason_pb2.ERROR_REASON_MODEL_TYPE_MISMATCH,
            f"{model.identifier} makes {model.media}s; use the generate/{model.media} route.",
        )
    files = _input_files(model, message, allow_private)
    return GenerationRequest(
        model_identifier=model.identifier,
        media=model.media,
        prompt=_prompt(message.prompt),
        ratio=_choice("ratio", message.ratio, model.ratios),
        output_format=_choice("output_format", message.output_format, model.formats),
        output_number=_output_number(model, message),
        input_file=files,
        input_file_last_content=_last_content(model, message, allow_private),
        duration=check_duration(model, message.duration if message.HasField("duration") else None),
        resolution=check_resolution(model, message.resolution),
        generate_audio=check_audio(
            model, message.generate_audio if message.HasField("generate_audio") else None, "generate_audio"
        ),
        extras=_extras(model, message.extras),
        content_policy_failover=message.content_policy_failover,
    )


def check_deadline(model: Model, message: generation_service_pb2.CreateGenerationRequest) -> int:
    """Seconds that the generation may take: what the customer allows, else the model's own limit.

    Raises:
        BabySeaError: PARAMETER_OUT_OF_RANGE.
    """
    if not message.HasField("deadline_seconds"):
        return model.deadline_seconds
    seconds: int = message.deadline_seconds
    if not 1 <= seconds <= model.deadline_seconds:
        raise out_of_range(
            "deadline_seconds",
            f"The deadline of {model.identifier} must be from 1 to {model.deadline_seconds} seconds.",
        )
    return seconds


def check_duration(model: Model, seconds: float | None) -> float | None:
    """The duration if the model has it; None for an image model that is given none."""
    if model.media == "image":
        if seconds is not None:
            raise invalid(
                "duration", f"{model.identifier} makes images, which have no duration; leave it out."
            )
        return None
    allowed = _listed(f"{each:g}" for each in model.durations)
    if seconds is None:
        raise invalid("duration", f"A video needs a duration in seconds: {allowed}.")
    if not math.isfinite(seconds):
        raise invalid("duration", f"The duration must be a number of seconds: {allowed}.")
    if seconds in model.durations:
        return seconds
    sentence = f"{model.identifier} makes videos of {allowed} seconds."
    if not model.durations[0] <= seconds <= model.durations[-1]:
        raise out_of_range("duration", sentence)
    raise invalid("duration", sentence)


def check_resolution(model: Model, resolution: str) -> str | None:
    """The resolution or, when empty, the model's default; None where there is nothing to choose."""
    if not model.resolutions:
        if resolution:
            raise invalid("resolution", f"{model.identifier} takes no resolution; leave it out.")
        return None
    return _choice("resolution", resolution, model.resolutions)


def check_audio(model: Model, audio: bool | None, field: str) -> bool | None:
    """Whether audio is made: not unless asked for; None where the model cannot make any."""
    if model.audio:
        return bool(audio)
    if audio or (audio is not None and model.media == "image"):
        raise invalid(field, f"{model.identifier} makes no audio; leave it out.")
    return None


def _prompt(prompt: str) -> str:
    if not prompt.strip():
        raise invalid("prompt", "The prompt is empty; say what to make.")
    if not _is_text(prompt):
        raise invalid("prompt", "The prompt holds a character that is not allowed (NUL or half of a pair).")
    return prompt


def _is_text(text: str) -> bool:
    # PostgreSQL and UTF-8 have no place for these.
    return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text)


def _choice(field: str, value: str, allowed: tuple[str, ...]) -> str:
    if not value:
        return allowed[0]
    if value not in allowed:
        raise invalid(field, f"The {field.replace('_', ' ')} must be one of {_listed(allowed)}.")
    return value


def _output_number(model: Model, message: generation_service_pb2.CreateGenerationRequest) -> int:
    number: int = message.output_number if message.HasField("output_number") else 1
    if not 1 <= number <= model.output_number_max:
        span = "1" if model.output_number_max == 1 else f"from 1 to {model.output_number_max}"
        raise out_of_range("output_number", f"The output number of {model.identifier} must be {span}.")
    return number


def _input_files(
    model: Model, message: generation_service_pb2.CreateGenerationRequest, allow_private: bool
) -> tuple[str, ...]:
    files = tuple(message.input_file)
    if files and model.input_file_max == 0:
        raise invalid("input_file", f"{model.identifier} takes no input files; leave them out.")
    if len(files) > model.input_file_max:
        raise out_of_range(
            "input_file", f"{model.identifier} takes {model.input_file_max} input file(s) at most."
        )
    for url in files:
        _check_url("input_file", "An input file's URL", url, allow_private)
    return files


def _last_content(
    model: Model, message: generation_service_pb2.CreateGenerationRequest, allow_private: bool
) -> str:
    field, url = "input_file_last_content", message.input_file_last_content
    if not url:
        return ""
    if not model.last_content:
        raise invalid(field, f"{model.identifier} takes no last frame; leave it out.")
    if not message.input_file:
        raise invalid(field, "A last frame needs a first one; add an input file.")
    _check_url(field, "The last frame's URL", url, allow_private)
    return url


def _check_url(field: str, name: str, url: str, allow_private: bool) -> None:
    problem = url_problem(url, allow_private=allow_private) if _is_text(url) else "is not a URL"
    if problem is not None:
        raise invalid(field, f"{name} {problem}.")


def _extras(model: Model, given: struct_pb2.Struct) -> dict[str, ExtraValue]:
    extras = {extra.name: extra.default for extra in model.extras if extra.default is not None}
    for name, value in given.fields.items():
        extra = model.extra_named(name)
        if extra is None:
            shown = "".join(letter for letter in name[:64] if letter.isprintable())
            raise invalid(f"extras.{shown}", f'{model.identifier} has no field "{shown}": unknown field.')
        extras[name] = _extra_value(extra, value)
    return extras


def _extra_value(extra: Extra, value: struct_pb2.Value) -> ExtraValue:
    field = f"extras.{extra.name}"
    kind = value.WhichOneof("kind")
    if extra.type == "bool":
        if kind != "bool_value":
            raise invalid(field, f"{field} must be true or false.")
        return value.bool_value
    if extra.type in ("enum", "string"):
        if kind != "string_value" or not _is_text(value.string_value):
            raise invalid(field, f"{field} must be a text.")
        return _extra_text(extra, field, value.string_value)
    if kind != "number_value" or not math.isfinite(value.number_value):
        raise invalid(field, f"{field} must be a number.")
    return _extra_number(extra, field, value.number_value)


def _extra_text(extra: Extra, field: str, text: str) -> str:
    if extra.type == "enum" and text not in extra.values:
        raise invalid(field, f"{field} must be one of {_listed(extra.values)}.")
    if extra.type == "string" and extra.maximum is not None and len(text) > extra.maximum:
        raise invalid(field, f"{extra.name} must have {extra.maximum:g} characters at most.")
    return text


def _extra_number(extra: Extra, field: str, number: float) -> int | float:
    if extra.type == "int" and not number.is_integer():
        raise invalid(field, f"{field} must be a whole number.")
    minimum, maximum = extra.minimum, extra.maximum
    if minimum is None or maximum is None or not minimum <= number <= maximum:
        raise out_of_range(
            field, f"{field} must be from {plain_number(minimum or 0)} to {plain_number(maximum or 0)}."
        )
    return cast("int | float", plain_number(number)) if extra.type == "int" else number


def _listed(words: object) -> str:
    return ", ".join(str(word) for word in cast("tuple[str, ...]", words))
