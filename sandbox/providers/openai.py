"""OpenAI's image API: pictures made while the caller waits, in base64."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ..desk import Desk, bearer, retry_after
from ..files import file_bytes
from ..jobs import Job, State
from ..media.sketch import MediaShape
from ..models import ModelSpec, find_model
from ..multipart import plain_values, read_form
from ..schema import Violation
from ..shapes import without_nulls
from ..trouble import Trouble
from ..world import Order, Refusal, World, read_object
from .geometry import PICTURE_FORMATS, sides

NAME = "openai"

_IMAGE_TOKEN_MICROS = {"gpt-image-1-mini": 8.0}
_USUAL_TOKEN_MICROS = 30.0

_WORDS: dict[Trouble, tuple[int, str, str | None, str]] = {
    Trouble.INVALID: (400, "invalid_request_error", "invalid_value", "The request cannot be used."),
    Trouble.MALFORMED: (400, "invalid_request_error", None, "The body could not be parsed as JSON."),
    Trouble.TOO_LARGE: (413, "invalid_request_error", None, "The request is too large."),
    Trouble.UNKNOWN_MODEL: (404, "invalid_request_error", "model_not_found", "The model does not exist."),
    Trouble.AUTH: (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    Trouble.FORBIDDEN: (403, "invalid_request_error", "unsupported_country_region_territory", "Not allowed."),
    Trouble.BILLING: (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    Trouble.QUOTA: (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    Trouble.RATE: (429, "requests", "rate_limit_exceeded", "Rate limit reached for images per minute."),
    Trouble.CAPACITY: (503, "server_error", None, "The engine is currently overloaded, try again later."),
    Trouble.TIMEOUT: (504, "server_error", None, "The request timed out."),
    Trouble.INTERNAL: (500, "server_error", None, "The server had an error while processing the request."),
    Trouble.UNAVAILABLE: (503, "server_error", None, "The service is temporarily unavailable."),
}
_REJECTED = "Your request was rejected by the safety system."


def router(world: World) -> APIRouter:
    """Return OpenAI's routes."""
    return _OpenAI(world).routes()


class _OpenAI(Desk):
    def __init__(self, world: World) -> None:
        super().__init__(world, NAME)

    def routes(self) -> APIRouter:
        routes = APIRouter()
        routes.add_api_route("/images/generations", self.generate, methods=["POST"])
        routes.add_api_route("/images/edits", self.edit, methods=["POST"])
        routes.add_api_route("/videos", self.gone, methods=["POST", "GET"])
        routes.add_api_route("/videos/{path:path}", self.gone, methods=["GET", "DELETE"])
        return routes

    async def generate(self, request: Request) -> Response:
        taken = await self.take(
            request, lambda raw: _read_order(request, "generations", raw, read_object(raw))
        )
        return await self._answer(request, taken)

    async def edit(self, request: Request) -> Response:
        return await self._answer(request, await self.take(request, lambda raw: _read_edit(request, raw)))

    async def gone(self, request: Request) -> Response:
        return _error(410, "invalid_request_error", None, "The video API has been shut down.", None)

    async def _answer(self, request: Request, taken: Job | Refusal | Response) -> Response:
        if isinstance(taken, Response):
            return taken
        if isinstance(taken, Refusal):
            return _refused(taken)
        await self.hold(request, taken)
        state = taken.state(self.world.now())
        if state is State.MODERATED:
            return _moderated("output" if taken.refused_at_output else "input")
        if state is not State.SUCCEEDED:
            return _refused_as(Trouble.INTERNAL)
        return JSONResponse(await self._images(taken), 200, {"x-request-id": _request_id()})

    async def _images(self, job: Job) -> dict[str, object]:
        count = 0 if job.output_fault == "missing" else job.shape.count
        files = [await file_bytes(self.world, job, index) for index in range(count)]
        rate = _IMAGE_TOKEN_MICROS.get(job.spec.id, _USUAL_TOKEN_MICROS)
        made, read = round(job.price_micros / rate), max(1, len(job.prompt) // 4)
        wanted = {**job.spec.defaults, **job.given}
        return {
            "created": int(job.ends_at),
            "background": "opaque",
            "data": [{"b64_json": base64.b64encode(content).decode()} for content in files],
            "output_format": wanted["output_format"],
            "quality": "medium" if wanted["quality"] == "auto" else wanted["quality"],
            "size": f"{job.shape.width}x{job.shape.height}",
            "usage": {
                "input_tokens": read,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": read},
                "output_tokens": made,
                "output_tokens_details": {"image_tokens": made, "text_tokens": 0},
                "total_tokens": read + made,
            },
        }


def _read_edit(request: Request, raw: bytes | None) -> Order:
    parts = None if raw is None else read_form(raw, request.headers.get("content-type", ""))
    if parts is None:
        return _read_order(request, "edits", raw, None)
    given = plain_values(parts)
    if isinstance(prompt := given.get("prompt"), int | float | bool):
        given["prompt"] = str(prompt)
    files = [part for part in parts if part.filename is not None]
    if pictures := [part.filename for part in files if part.name in ("image", "image[]")]:
        given["image"] = pictures
    odd_files = tuple(part.name for part in files if part.name not in ("image", "image[]", "mask"))
    return _read_order(request, "edits", raw, given, odd_files)


def _read_order(
    request: Request,
    route: str,
    raw: bytes | None,
    body: Mapping[str, object] | None,
    odd_files: tuple[str, ...] = (),
) -> Order:
    cleaned = None if body is None else without_nulls(dict(body))
    given = cleaned if isinstance(cleaned, dict) else None
    named = str((given or {}).get("model", ""))
    spec = find_model(NAME, named, route)
    violations: list[Violation] = []
    if given is not None and "model" not in given:
        violations.append(Violation(("model",), "missing", "Field required"))
    if spec is not None and given is not None:
        violations += spec.problems(given, ())
        violations += [Violation((name,), "extra", "Unknown parameter") for name in odd_files]
        if given.get("stream") is True:
            violations.append(Violation(("stream",), "choice", "Streaming is not offered here"))
    prompt = (given or {}).get("prompt")
    fit = spec is not None and given is not None and not violations
    return Order(
        provider=NAME,
        model=named,
        raw=raw,
        authorized=bool(bearer(request)),
        spec=spec,
        given=given,
        shape=_shape(spec, given) if fit and spec is not None and given is not None else None,
        prompt=prompt if isinstance(prompt, str) else "",
        violations=tuple(violations),
        job_id=str(uuid.uuid4()),
        moderates_at_submit=True,
    )


def _shape(spec: ModelSpec, given: Mapping[str, object]) -> MediaShape:
    wanted = {**spec.defaults, **given}
    width, height = (1024, 1024) if wanted["size"] == "auto" else sides(str(wanted["size"]), "x")
    form = PICTURE_FORMATS[str(wanted["output_format"])]
    quality = int(str(wanted["output_compression"]))
    return MediaShape("image", int(str(wanted["n"])), width, height, form, max(1, quality))


def _refused(refusal: Refusal) -> Response:
    if refusal.trouble is Trouble.MODERATION and refusal.forced_status is None:
        return _moderated("input")
    if refusal.violations:
        wrong = refusal.violations[0]
        where = ".".join(wrong.path)
        code = {"extra": "unknown_parameter", "missing": "missing_required_parameter"}.get(
            wrong.kind, "invalid_value"
        )
        said = f"Unknown parameter: '{where}'." if wrong.kind == "extra" else f"'{where}': {wrong.message}."
        return _error(400, "invalid_request_error", code, said, where)
    return _refused_as(refusal.trouble, refusal.forced_status, retry_after(refusal))


def _refused_as(
    trouble: Trouble, forced_status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    status, kind, code, message = _WORDS[trouble]
    return _error(forced_status or status, kind, code, message, None, headers=headers)


def _moderated(stage: str) -> Response:
    details = {"moderation_details": {"moderation_stage": stage, "categories": ["sexual"]}}
    return _error(400, "image_generation_user_error", "moderation_blocked", _REJECTED, None, more=details)


def _error(
    status: int,
    kind: str,
    code: str | None,
    message: str,
    param: str | None,
    *,
    more: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    error = {"message": message, "type": kind, "param": param, "code": code, **(more or {})}
    return JSONResponse({"error": error}, status, {"x-request-id": _request_id(), **(headers or {})})


def _request_id() -> str:
    return f"req_{uuid.uuid4().hex}"
