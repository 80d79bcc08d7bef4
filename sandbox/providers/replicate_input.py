"""What Replicate reads from a request: model or version, input, envelope, and the outer form of the output."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping

from fastapi import Request

from ..media.sketch import MediaShape
from ..models import MODELS, ModelSpec, find_model
from ..schema import Violation
from ..world import Order, read_object
from .geometry import PICTURE_FORMATS, film_size, picture_size, sides

NAME = "replicate"

_FILES_LIFE_S = 3_600.0
_EVENTS = ("start", "output", "logs", "completed")
_ENVELOPE = ("input", "webhook", "webhook_events_filter", "stream")
_MODELS_CHOICE = ("match_input_image", "adaptive", "auto", "-1")
"""Ratios and durations that leave the choice to the model."""

_USUAL_FILM, _USUAL_SECONDS = "16:9", 5.0
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def version_of(spec: ModelSpec) -> str:
    """Return the 64 hexadecimal digits that name the model's only version here."""
    return hashlib.sha256(f"{spec.provider}/{spec.id}".encode()).hexdigest()


_BY_VERSION = {version_of(spec): spec for spec in MODELS if spec.provider == NAME}


def find_version(named: str) -> ModelSpec | None:
    """Return the model of a `version`, given as its digits, as owner/name:digits, or as owner/name."""
    model, _, digest = named.rpartition(":")
    spec = _BY_VERSION.get(digest) or find_model(NAME, named)
    return None if spec is None or model not in ("", spec.id) else spec


def read_order(
    request: Request,
    model: str,
    spec: ModelSpec | None,
    raw: bytes | None,
    origin: str,
    *,
    by_version: bool,
) -> Order:
    """Read a submit of `model`, named by itself or by a version."""
    body = read_object(raw)
    found = body.get("input") if body is not None else None
    given = found if isinstance(found, dict) else None
    violations = _envelope_problems(body, by_version, spec) if body is not None else []
    if spec is not None and given is not None:
        violations += spec.problems(given, "input")

    prompt = given.get("prompt") if given is not None else None
    webhook = body.get("webhook") if body is not None else None
    shape = None
    if spec is not None and given is not None and not violations:
        shape = _shape(spec, given)
    events = body.get("webhook_events_filter") if body is not None else None
    notes = {
        "origin": origin,
        "version": version_of(spec) if spec is not None and by_version else "hidden",
        "events": ",".join(map(str, events)) if isinstance(events, list) else ",".join(_EVENTS),
    }
    return Order(
        provider=NAME,
        model=model,
        raw=raw,
        authorized=authorized(request),
        spec=spec,
        given=given,
        shape=shape,
        prompt=prompt if isinstance(prompt, str) else "",
        prompt_path=("input", "prompt"),
        violations=tuple(violations),
        job_id="".join(secrets.choice(_ALPHABET) for _ in range(26)),
        webhook=webhook if isinstance(webhook, str) else None,
        deadline_s=_seconds(request.headers.get("cancel-after", "")),
        files_life_s=_FILES_LIFE_S,
        notes=notes,
    )


def _envelope_problems(
    body: Mapping[str, object], by_version: bool, spec: ModelSpec | None
) -> list[Violation]:
    """Check everything around the input."""
    known = (*_ENVELOPE, "version") if by_version else _ENVELOPE
    problems = [
        Violation((name,), "extra", f"Additional property {name} is not allowed")
        for name in body
        if name not in known
    ]
    if by_version and spec is None:
        problems.append(Violation(("version",), "version", "Invalid version or not permitted"))
    if not isinstance(body.get("input"), dict):
        problems.append(Violation(("input",), "missing", "Field required"))
    webhook = body.get("webhook")
    if webhook is not None and not (isinstance(webhook, str) and webhook.startswith(("http://", "https://"))):
        problems.append(Violation(("webhook",), "type", "Expected an http(s) URL"))
    events = body.get("webhook_events_filter")
    if events is not None and not (isinstance(events, list) and all(event in _EVENTS for event in events)):
        problems.append(
            Violation(("webhook_events_filter",), "choice", f"Must be a list of {', '.join(_EVENTS)}")
        )
    return problems


def _shape(spec: ModelSpec, given: Mapping[str, object]) -> MediaShape:
    wanted = {**spec.defaults, **given}
    ratio = str(wanted["aspect_ratio"])
    if spec.media == "video":
        width, height = film_size(
            _USUAL_FILM if ratio in _MODELS_CHOICE else ratio, str(wanted.get("resolution", "720p"))
        )
        duration = str(wanted["duration"])
        seconds = _USUAL_SECONDS if duration in _MODELS_CHOICE else float(duration)
        audio = bool(wanted.get("generate_audio", False))
        return MediaShape("video", 1, width, height, "mp4", seconds=seconds, audio=audio)

    if ratio == "custom" or ("aspect_ratio" not in given and "width" in wanted and "height" in wanted):
        width, height = int(str(wanted.get("width", 1024))), int(str(wanted.get("height", 1024)))
    elif "x" in ratio:
        width, height = sides(ratio, "x")
    else:
        longest = 512 if wanted.get("megapixels") == "0.25" else 1024
        width, height = picture_size("1:1" if ratio in _MODELS_CHOICE else ratio, longest)
    form = PICTURE_FORMATS[str(wanted["output_format"])]
    series = (
        wanted["max_images"]
        if wanted.get("sequential_image_generation") == "auto" and "max_images" in wanted
        else 1
    )
    count = wanted.get("number_of_images", given.get("num_outputs", series))
    return MediaShape("image", int(str(count)), width, height, form, int(str(wanted["output_quality"])))


def authorized(request: Request) -> bool:
    """Say whether the token has the form of Replicate's."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and token.startswith("r8_")


def _seconds(duration: str) -> float | None:
    """Return the seconds in a `Cancel-After` header such as "1h30m"; None unless it is 5 s or more."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", duration)
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    return float(total) if total >= 5 else None
