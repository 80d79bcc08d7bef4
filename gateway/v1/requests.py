"""Bodies of the create routes: the models are the contract, strict in every type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from uuid import UUID

from google.protobuf import struct_pb2
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import Headers

from babysea.generation.v1 import generation_pb2
from babysea.generation.v1 import generation_service_pb2 as generation
from gateway.errors import shown
from kit.errors import BabySeaError, invalid

PREFIX = "generation_"
_LATER = frozenset({"generation_quote_id"})
"""Fields of the contract that no region understands yet; silently ignoring them would promise what is not done."""

_IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9_\-:.]{1,255}")
_INT32 = 2**31


def _without_default(schema: dict[str, Any]) -> None:
    # The default stands for "not said", and would itself be out of range.
    del schema["default"]
    schema["minimum"] = 1


class CreateImage(BaseModel):
    """An image to make. Further fields named `generation_*` are the model's own; see its `specific_schema`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    generation_prompt: Annotated[str, Field(description="What to make.")]
    generation_ratio: Annotated[str, Field(description="Aspect ratio, for example 16:9.")] = ""
    generation_output_format: Annotated[str, Field(description="File format, for example png.")] = ""
    generation_output_number: Annotated[int, Field(description="Outputs wanted.")] = 1
    generation_input_file: Annotated[list[str], Field(description="Public URLs of input files.")] = []
    generation_provider_order: Annotated[
        str, Field(description='"fastest", or provider ids joined by commas, tried in that order.')
    ] = ""
    generation_deadline_seconds: Annotated[
        int,
        Field(
            description="Seconds after which it fails with BSE4002 and is not charged; the model's own limit when omitted.",
            json_schema_extra=_without_default,
        ),
    ] = 0
    generation_content_policy_failover: Annotated[
        bool,
        Field(description="Whether the next provider is tried when the content policy of one refuses."),
    ] = False


class CreateVideo(CreateImage):
    """A video to make. Further fields named `generation_*` are the model's own; see its `specific_schema`."""

    generation_duration: Annotated[float, Field(description="Seconds.")]
    generation_resolution: Annotated[str, Field(description="For example 720p.")] = ""
    generation_generate_audio: Annotated[bool, Field(description="Whether to make sound.")] = False
    generation_input_file_last_content: Annotated[str, Field(description="URL of the last frame.")] = ""


Body = TypeVar("Body", bound=CreateImage)

_VIDEO_ONLY = frozenset(CreateVideo.model_fields) - frozenset(CreateImage.model_fields)
_EXPECTED = {
    "missing": "is required",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list of strings",
}


def create_request(
    model: type[Body], model_identifier: str, body: dict[str, object], headers: Headers, request_id: UUID
) -> generation.CreateGenerationRequest:
    """The regional request for a JSON body.

    Args:
        model: CreateImage or CreateVideo, after the route.
        model_identifier: from the path.
        body: the parsed body.
        headers: of the request; may hold an Idempotency-Key.
        request_id: UUIDv7 that names this request, however often the region is asked.

    Raises:
        BabySeaError: INVALID_INPUT naming the field.
    """
    known = {name: value for name, value in body.items() if name in model.model_fields}
    extras = {name: value for name, value in body.items() if name not in model.model_fields}
    for name in extras:
        _check_extra(name)
    fields = _validated(model, known)
    request = generation.CreateGenerationRequest(
        request_id=str(request_id),
        idempotency_key=idempotency_key(headers),
        model_identifier=model_identifier,
        media=generation_pb2.MEDIA_VIDEO if isinstance(fields, CreateVideo) else generation_pb2.MEDIA_IMAGE,
        prompt=fields.generation_prompt,
        ratio=fields.generation_ratio,
        output_format=fields.generation_output_format,
        input_file=fields.generation_input_file,
        provider_order=fields.generation_provider_order,
        content_policy_failover=fields.generation_content_policy_failover,
    )
    # What was not said stays unsaid, so that the model's own default counts.
    if "generation_output_number" in known:
        request.output_number = _int32(fields.generation_output_number)
    if "generation_deadline_seconds" in known:
        request.deadline_seconds = _int32(fields.generation_deadline_seconds)
    if isinstance(fields, CreateVideo):
        request.duration = fields.generation_duration
        request.resolution = fields.generation_resolution
        request.input_file_last_content = fields.generation_input_file_last_content
        if "generation_generate_audio" in known:
            request.generate_audio = fields.generation_generate_audio
    if extras:
        request.extras.CopyFrom(_struct(extras))
    return request


def idempotency_key(headers: Headers) -> str:
    """The Idempotency-Key of a request; empty for none.

    Raises:
        BabySeaError: INVALID_INPUT when it is malformed or given twice.
    """
    values = headers.getlist("idempotency-key")
    if not values:
        return ""
    if len(values) > 1 or not _IDEMPOTENCY_KEY.fullmatch(values[0]):
        raise invalid(
            "Idempotency-Key",
            "Idempotency-Key must be 1 to 255 letters, digits or any of _ - : . and be given once.",
        )
    return values[0]


def _check_extra(name: str) -> None:
    if name in _VIDEO_ONLY:
        raise invalid(name, f"{name} belongs to video models; use the video route for them.")
    if name in _LATER or not name.startswith(PREFIX) or name == PREFIX:
        raise invalid(shown(name), f"{shown(name)} is not a field of this request.")


def _validated(model: type[Body], values: dict[str, object]) -> Body:
    try:
        return model.model_validate(values)
    except ValidationError as problems:
        raise _first(problems) from None


def _first(problems: ValidationError) -> BabySeaError:
    problem = problems.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(problem["loc"][0])
    expected = _EXPECTED.get(problem["type"], "is not valid")
    if len(problem["loc"]) > 1:
        expected = "must be a list of strings"
    return invalid(name, f"{name} {expected}.")


def _int32(value: int) -> int:
    # What does not fit is as far out of range as the end of the range; the region says what is allowed.
    return min(max(value, -_INT32), _INT32 - 1)


def _struct(extras: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update({name.removeprefix(PREFIX): value for name, value in extras.items()})
    return struct
