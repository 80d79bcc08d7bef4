"""Cloudflare Workers AI: its own models under `/ai/run/{model}`, those of third parties under `/ai/run`."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ..desk import Desk, bearer, retry_after
from ..files import content_type, file_bytes, file_urls
from ..jobs import Job, State
from ..media.sketch import MediaShape
from ..models import ModelSpec, find_model
from ..multipart import plain_values, read_form
from ..schema import Violation
from ..trouble import Trouble
from ..world import Order, Refusal, World, read_object
from .geometry import PICTURE_FORMATS, film_size, picture_size

NAME = "cloudflare"

_OWN_ROUTES = ("json", "binary", "form")
_FILES_LIFE_S = 7_200.0

_WORDS: dict[Trouble, tuple[int, int, str]] = {
    Trouble.INVALID: (400, 5004, "Invalid or incomplete input"),
    Trouble.MALFORMED: (400, 5004, "Invalid or incomplete input: the body is not a JSON object"),
    Trouble.TOO_LARGE: (413, 3006, "Request is too large"),
    Trouble.UNKNOWN_MODEL: (404, 3042, "No such model, or model not found"),
    Trouble.MODERATION: (400, 3030, "Input prompt contains NSFW content"),
    Trouble.AUTH: (401, 10000, "Authentication error"),
    Trouble.FORBIDDEN: (403, 5018, "The account is not allowed to use this model"),
    Trouble.BILLING: (402, 3036, "The account has no credits left"),
    Trouble.QUOTA: (429, 3036, "You have used up your daily free allocation of 10,000 neurons"),
    Trouble.RATE: (429, 971, "Please wait and consider throttling your request speed"),
    Trouble.CAPACITY: (429, 3040, "No more data centers to forward the request to: out of capacity"),
    Trouble.TIMEOUT: (408, 3007, "The request timed out"),
    Trouble.INTERNAL: (500, 3043, "Internal server error"),
    Trouble.UNAVAILABLE: (503, 3040, "The service is temporarily unavailable"),
}


def router(world: World) -> APIRouter:
    """Return Cloudflare's routes."""
    return _Cloudflare(world).routes()


class _Cloudflare(Desk):
    def __init__(self, world: World) -> None:
        super().__init__(world, NAME)

    def routes(self) -> APIRouter:
        routes = APIRouter(prefix="/accounts/{account_id}/ai")
        routes.add_api_route("/run", self.run_third, methods=["POST"])
        routes.add_api_route("/run/{model:path}", self.run_own, methods=["POST"])
        return routes

    async def run_own(self, request: Request, account_id: str, model: str) -> Response:
        # The SDK sends the slashes of a model as %2F; some servers have decoded them by now, and some have not.
        named = unquote(model)
        return await self._answer(
            request, await self.take(request, lambda raw: _read_own(request, named, raw))
        )

    async def run_third(self, request: Request, account_id: str) -> Response:
        return await self._answer(request, await self.take(request, lambda raw: _read_third(request, raw)))

    async def _answer(self, request: Request, taken: Job | Refusal | Response) -> Response:
        if isinstance(taken, Response):
            return taken
        if isinstance(taken, Refusal):
            return _refused(taken)
        job = taken
        await self.hold(request, job)
        state = job.state(self.world.now())
        if state is not State.SUCCEEDED:
            return self._failed(job, Trouble.MODERATION if state is State.MODERATED else Trouble.INTERNAL)
        if job.spec.route == "third":
            return self._third(request, job)

        content = await file_bytes(self.world, job, 0)
        if job.spec.route == "binary":
            return Response(content, media_type=content_type(job))
        found = {} if job.output_fault == "missing" else {"image": base64.b64encode(content).decode()}
        return _envelope(found)

    def _third(self, request: Request, job: Job) -> Response:
        """Return where the output of a third party's model is."""
        kind = "video" if job.spec.media == "video" else "image"
        found = {
            "state": "Completed",
            "result": {kind: file_urls(job, self.origin(request))[0]},
            "gatewayMetadata": {"keySource": "Unified"},
        }
        bare = self.world.knobs.of(NAME).bare_reply
        return JSONResponse(found) if bare else _envelope(found)

    def _failed(self, job: Job, trouble: Trouble) -> Response:
        status, code, message = _WORDS[trouble]
        if job.spec.route != "third":
            return _error(status, code, message)
        found = {"state": "Failed", "error": {"code": code, "message": message}, "model": job.spec.id}
        if self.world.knobs.of(NAME).bare_reply:
            return JSONResponse(found)
        return JSONResponse(
            {
                "result": found,
                "success": False,
                "errors": [{"code": code, "message": f"AiError: {message}"}],
                "messages": [],
            },
            status,
        )


def _read_own(request: Request, model: str, raw: bytes | None) -> Order:
    spec = next((spec for route in _OWN_ROUTES if (spec := find_model(NAME, model, route))), None)
    given = read_object(raw)
    odd: list[Violation] = []
    if spec is not None and spec.route == "form":
        parts = None if raw is None else read_form(raw, request.headers.get("content-type", ""))
        given = None
        if parts is not None:
            files = {part.name: "file" for part in parts if part.filename is not None}
            given = {**plain_values(parts), **files}
            given["prompt"] = _text(given.get("prompt"))
        elif raw is not None:
            odd.append(Violation(("multipart",), "missing", "required properties at '/' are 'multipart'"))
    return _order(request, model, raw, spec, given, odd, ())


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | float | bool) else value


def _read_third(request: Request, raw: bytes | None) -> Order:
    body = read_object(raw)
    if body is None:
        return _order(request, "", raw, None, None, [], ())
    odd = [
        Violation((name,), "extra", f"must NOT have additional property '{name}'")
        for name in body
        if name not in ("model", "input")
    ]
    model, given = body.get("model"), body.get("input")
    if not isinstance(model, str):
        odd.append(Violation(("model",), "missing", "Field required"))
    if not isinstance(given, dict):
        odd.append(Violation(("input",), "missing", "Field required"))
    named = model if isinstance(model, str) else ""
    own = given if isinstance(given, dict) else None
    return _order(request, named, raw, find_model(NAME, named, "third"), own, odd, ("input",))


def _order(
    request: Request,
    model: str,
    raw: bytes | None,
    spec: ModelSpec | None,
    given: Mapping[str, object] | None,
    odd: list[Violation],
    root: tuple[str, ...],
) -> Order:
    violations = list(odd)
    if spec is not None and given is not None:
        violations += spec.problems(given, root)
    prompt = (given or {}).get("prompt")
    fit = spec is not None and given is not None and not violations
    return Order(
        provider=NAME,
        model=model,
        raw=raw,
        authorized=_authorized(request),
        spec=spec,
        given=given,
        shape=_shape(spec, given) if fit and spec is not None and given is not None else None,
        prompt=prompt if isinstance(prompt, str) else "",
        prompt_path=(*root, "prompt"),
        violations=tuple(violations),
        job_id=str(uuid.uuid4()),
        files_life_s=_FILES_LIFE_S,
        moderates_at_submit=True,
    )


def _shape(spec: ModelSpec, given: Mapping[str, object]) -> MediaShape:
    wanted = {**spec.defaults, **given}
    if spec.media == "video":
        ratio = str(wanted["aspect_ratio"])
        width, height = film_size("16:9" if ratio == "auto" else ratio, str(wanted["resolution"]))
        duration = str(wanted["duration"]).removesuffix("s")
        audio = bool(wanted.get("audio", wanted.get("generate_audio", False)))
        seconds = 5.0 if duration == "auto" else float(duration)
        return MediaShape("video", 1, width, height, "mp4", seconds=seconds, audio=audio)
    form = PICTURE_FORMATS[str(wanted["output_format"])]
    if "aspect_ratio" in wanted:
        width, height = picture_size(str(wanted["aspect_ratio"]))
    else:
        width, height = (min(4_096, max(16, int(str(wanted[side])))) for side in ("width", "height"))
    return MediaShape("image", 1, width, height, form)


def _authorized(request: Request) -> bool:
    by_mail = request.headers.get("x-auth-email") and request.headers.get("x-auth-key")
    return bool(bearer(request) or by_mail)


def _refused(refusal: Refusal) -> Response:
    status, code, message = _WORDS[refusal.trouble]
    if refusal.violations:
        wrong = refusal.violations[0]
        message = f"{message}: {'/'.join(wrong.path)}: {wrong.message}"
    return _error(refusal.forced_status or status, code, message, retry_after(refusal))


def _error(status: int, code: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    errors = [{"code": code, "message": f"AiError: {message}"}]
    body = {"result": None, "success": False, "errors": errors, "messages": []}
    return JSONResponse(body, status, headers)


def _envelope(found: Mapping[str, object]) -> Response:
    return JSONResponse({"result": found, "success": True, "errors": [], "messages": []})
