"""What Fal reads from a request: the body is the input, the path is the model."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from fastapi import Request

from ..media.sketch import MediaShape
from ..models import ModelSpec, find_model
from ..schema import Violation, pixels
from ..world import Order, read_object
from .geometry import PICTURE_FORMATS, film_size, picture_size, sides

NAME = "fal"

_SIZES = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
    "auto_2K": (2048, 2048),
    "auto_3K": (3072, 3072),
    "auto_4K": (4096, 4096),
}
_FRAMES_A_SECOND = 24


def read_order(request: Request, model: str, raw: bytes | None, origin: str) -> Order:
    """Read a submit of `model`."""
    spec = find_model(NAME, model)
    given = read_object(raw)
    violations: list[Violation] = []
    if spec is not None and given is not None:
        violations += spec.problems(given, "body")
    shape = None
    if spec is not None and given is not None and not violations:
        shape = _shape(spec, given)
    prompt = given.get("prompt") if given is not None else None
    return Order(
        provider=NAME,
        model=model,
        raw=raw,
        authorized=authorized(request),
        spec=spec,
        given=given,
        shape=shape,
        prompt=prompt if isinstance(prompt, str) else "",
        prompt_path=("body", "prompt"),
        violations=tuple(violations),
        job_id=str(uuid.uuid4()),
        webhook=request.query_params.get("fal_webhook"),
        notes={"origin": origin},
    )


def _shape(spec: ModelSpec, given: Mapping[str, object]) -> MediaShape:
    wanted = {**spec.defaults, **given}
    if spec.media == "video":
        ratio = str(wanted["aspect_ratio"])
        width, height = film_size("16:9" if ratio == "auto" else ratio, str(wanted.get("resolution", "720p")))
        audio = bool(wanted.get("generate_audio", False))
        seconds = _seconds(str(wanted["duration"]), given.get("num_frames"))
        return MediaShape("video", 1, width, height, "mp4", seconds=seconds, audio=audio)

    ratio = str(wanted.get("aspect_ratio", "auto"))
    width, height = _picture_size(wanted.get("image_size")) if ratio == "auto" else picture_size(ratio)
    form = PICTURE_FORMATS[str(wanted["output_format"])]
    # A story may have fewer pictures than are allowed; here it has them all.
    count = int(str(wanted["num_images"])) * int(str(given.get("max_images", 1)))
    return MediaShape("image", count, width, height, form)


def _seconds(duration: str, frames: object) -> float:
    if isinstance(frames, int):
        return frames / _FRAMES_A_SECOND
    return 5.0 if duration == "auto" else float(duration.removesuffix("s"))


def _picture_size(asked: object) -> tuple[int, int]:
    if isinstance(asked, dict):
        return pixels(asked)
    if "x" in str(asked):
        return sides(str(asked), "x")
    return _SIZES.get(str(asked), (1024, 1024))


def authorized(request: Request) -> bool:
    """Say whether there is a key."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "key" and bool(key.strip())
