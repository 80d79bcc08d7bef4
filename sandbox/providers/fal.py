"""Fal's queue API: submit, status, result and cancel."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ..files import content_type, file_bytes, file_urls
from ..jobs import CancelResult, Job, State
from ..media.sketch import MediaShape
from ..models import ModelSpec, find_model
from ..record import Outcome
from ..schema import Violation, check
from ..wire import HangUp, origin, read_body, wait_while_connected
from ..world import Order, Refusal, World, read_object
from .geometry import PICTURE_FORMATS, film_size

NAME = "fal"

_SIZES = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
_TYPES = {"missing": "missing", "extra": "extra_forbidden", "type": "value_error", "choice": "literal_error"}
_REFUSALS = {
    400: ("bad_request", "The request could not be read"),
    401: ("auth_error", "Authentication is required to access this application"),
    402: ("auth_error", "The account has no balance left"),
    403: ("auth_error", "The account is locked"),
    404: ("not_found", "Application not found"),
    413: ("bad_request", "The request body is too large"),
    429: ("rate_limited", "Too many requests"),
    500: ("internal_error", "Internal server error"),
    503: ("internal_error", "The service is temporarily unavailable"),
    504: ("request_timeout", "The request timed out"),
}
_ENDINGS = {
    State.FAILED: (500, "internal_server_error", "The model stopped unexpectedly"),
    State.MODERATED: (
        422,
        "content_policy_violation",
        "The content could not be processed because it was flagged by a content checker.",
    ),
    State.CANCELED: (499, "client_cancelled", "Request was cancelled"),
}
_RETRYABLE = frozenset({429, 500, 502, 503, 504})
_CANCEL_REPLIES = {
    CancelResult.REMOVED: (200, "OK"),
    CancelResult.STOPPED: (202, "CANCELLATION_REQUESTED"),
    CancelResult.TOO_LATE: (400, "ALREADY_COMPLETED"),
}


def router(world: World) -> APIRouter:
    """Return Fal's routes."""
    return _Fal(world).routes()


class _Fal:
    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> APIRouter:
        routes = APIRouter()
        one = "/{owner}/{alias}/requests/{request_id}"
        routes.add_api_route(f"{one}/status", self.read_status, methods=["GET"])
        routes.add_api_route(f"{one}/cancel", self.cancel, methods=["PUT"])
        routes.add_api_route(one, self.read_result, methods=["GET"])
        routes.add_api_route("/{owner}/{alias}", self.submit, methods=["POST"])
        routes.add_api_route("/{owner}/{alias}/{path:path}", self.submit, methods=["POST"])
        return routes

    async def submit(self, request: Request, owner: str, alias: str, path: str = "") -> Response:
        raw = await read_body(request, self._world.config.max_body_bytes)
        model = "/".join(part for part in (owner, alias, path.strip("/")) if part)
        result = self._world.submit(_read_order(request, model, raw))
        if isinstance(result, Refusal):
            return _refused(result)
        if result.lost:
            return HangUp()
        await wait_while_connected(request, lambda: False, result.hang_s)

        job = result.job
        place = {"status": "IN_QUEUE", "queue_position": self._ahead_of(job)}
        return _reply(200, job.id, {**place, **self._links(request, job)})

    async def read_status(
        self, request: Request, owner: str, alias: str, request_id: str, logs: str = "0"
    ) -> Response:
        if closed := self._closed(request):
            return closed
        job = self._find(owner, alias, request_id)
        if job is None:
            return _unknown_request(request_id)

        now = self._world.now()
        state = job.state(now)
        links = self._links(request, job)
        if state is State.QUEUED:
            body = {"status": "IN_QUEUE", "queue_position": self._ahead_of(job), **links}
            return _reply(202, job.id, body)
        lines = _log_lines(job, now) if logs.lower() in ("1", "true") else None
        if state is State.RUNNING:
            return _reply(202, job.id, {"status": "IN_PROGRESS", "logs": lines, **links})

        spent_s = (job.ended_at(now) or now) - job.starts_at
        done: dict[str, object] = {"status": "COMPLETED", "logs": lines, **links}
        done["metrics"] = {"inference_time": round(max(0.0, spent_s), 6)}
        if state in _ENDINGS:
            _, kind, message = _ENDINGS[state]
            done |= {"error": message, "error_type": kind}
        return _reply(200, job.id, done)

    async def read_result(self, request: Request, owner: str, alias: str, request_id: str) -> Response:
        if closed := self._closed(request):
            return closed
        job = self._find(owner, alias, request_id)
        if job is None:
            return _unknown_request(request_id)

        state = job.state(self._world.now())
        if not state.final:
            return _reply(400, job.id, {"detail": "Request is still in progress"})
        if state is State.CANCELED:
            status, kind, message = _ENDINGS[state]
            return _error(status, kind, {"detail": message, "error_type": kind}, job.id)
        if state in _ENDINGS:
            status, kind, message = _ENDINGS[state]
            where = ["body", "prompt"] if state is State.MODERATED else ["body"]
            return _error(status, kind, {"detail": [_detail(where, message, kind)]}, job.id)
        billed = {"x-fal-billable-units": _units(job)}
        return _reply(200, job.id, await self._output(request, job), billed)

    async def cancel(self, request: Request, owner: str, alias: str, request_id: str) -> Response:
        if closed := self._closed(request):
            return closed
        job = self._find(owner, alias, request_id)
        if job is None:
            return _reply(404, request_id, {"status": "NOT_FOUND"})
        status, word = _CANCEL_REPLIES[job.cancel(self._world.now())]
        return _reply(status, job.id, {"status": word})

    async def _output(self, request: Request, job: Job) -> dict[str, object]:
        urls = file_urls(job, origin(request, self._world.config.public_url))
        if job.given.get("sync_mode") is True:
            urls = [await self._data_uri(job, index) for index in range(len(urls))]
        kind = content_type(job)
        if job.spec.media == "video":
            name = f"output.{job.shape.format}"
            return {"video": {"url": urls[0], "content_type": kind, "file_name": name}}
        side = {"width": job.shape.width, "height": job.shape.height, "content_type": kind}
        return {
            "images": [{"url": url, **side} for url in urls],
            "timings": {"inference": round(job.ends_at - job.starts_at, 6)},
            "seed": job.seed,
            "has_nsfw_concepts": [False] * len(urls),
            "prompt": job.prompt,
        }

    async def _data_uri(self, job: Job, index: int) -> str:
        content = base64.b64encode(await file_bytes(self._world, job, index)).decode()
        return f"data:{content_type(job)};base64,{content}"

    def _closed(self, request: Request) -> Response | None:
        """Return the answer to any call while the provider is out or the key is missing."""
        if self._world.knobs.of(NAME).outage:
            return _refused(Refusal(Outcome.OUTAGE, 503))
        return None if _authorized(request) else _refused(Refusal(Outcome.UNAUTHORIZED, 401))

    def _find(self, owner: str, alias: str, request_id: str) -> Job | None:
        """Return the app's job; one that was canceled while queued is gone from the queue."""
        job = self._world.jobs.find(NAME, request_id)
        if job is None or _app(job.spec) != f"{owner}/{alias}":
            return None
        removed = job.state(self._world.now()) is State.CANCELED and job.canceled_before_start
        return None if removed else job

    def _links(self, request: Request, job: Job) -> dict[str, object]:
        host = origin(request, self._world.config.public_url)
        here = f"{host}/{NAME}/{_app(job.spec)}/requests/{job.id}"
        return {
            "request_id": job.id,
            "response_url": here,
            "status_url": f"{here}/status",
            "cancel_url": f"{here}/cancel",
        }

    def _ahead_of(self, job: Job) -> int:
        """Return a queue position: higher while the start is further away."""
        return max(0, int((job.starts_at - self._world.now()) // 1))


def _read_order(request: Request, model: str, raw: bytes | None) -> Order:
    spec = find_model(NAME, model)
    given = read_object(raw)
    violations: list[Violation] = []
    if spec is not None and given is not None:
        violations += check(spec.fields, given, "body")
    shape = None
    if spec is not None and given is not None and not violations:
        shape = _shape(spec, given)
    prompt = given.get("prompt") if given is not None else None
    return Order(
        provider=NAME,
        model=model,
        raw=raw,
        authorized=_authorized(request),
        spec=spec,
        given=given,
        shape=shape,
        prompt=prompt if isinstance(prompt, str) else "",
        prompt_path=("body", "prompt"),
        violations=tuple(violations),
        job_id=str(uuid.uuid4()),
        webhook=request.query_params.get("fal_webhook"),
    )


def _shape(spec: ModelSpec, given: Mapping[str, object]) -> MediaShape:
    wanted = {**spec.defaults, **given}
    if spec.media == "video":
        width, height = film_size(str(wanted["aspect_ratio"]), str(wanted.get("resolution", "720p")))
        seconds = float(str(wanted["duration"]).removesuffix("s"))
        audio = bool(wanted.get("generate_audio", False))
        return MediaShape("video", 1, width, height, "mp4", seconds=seconds, audio=audio)

    width, height = _picture_size(wanted["image_size"])
    form = PICTURE_FORMATS[str(wanted["output_format"])]
    return MediaShape("image", int(str(wanted["num_images"])), width, height, form)


def _picture_size(asked: object) -> tuple[int, int]:
    if isinstance(asked, dict):
        return int(asked["width"]), int(asked["height"])
    return _SIZES[str(asked)]


def _app(spec: ModelSpec) -> str:
    """Return owner/alias of a model id: queue URLs leave out the rest."""
    return "/".join(spec.id.split("/")[:2])


def _units(job: Job) -> str:
    if job.spec.price.unit == "second":
        return f"{job.shape.seconds:g}"
    return str(job.shape.count)


def _log_lines(job: Job, now: float) -> list[dict[str, str]]:
    lines = [(job.starts_at, "Started")]
    ended_at = job.ended_at(now)
    if ended_at is not None:
        lines.append((ended_at, "Ended"))
    return [
        {
            "message": message,
            "level": "INFO",
            "source": "USER",
            "timestamp": datetime.fromtimestamp(at, UTC).isoformat(),
        }
        for at, message in lines
    ]


def _authorized(request: Request) -> bool:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "key" and bool(key.strip())


def _refused(refusal: Refusal) -> Response:
    if refusal.outcome is Outcome.INVALID:
        details = [
            _detail(list(wrong.path), wrong.message, _TYPES.get(wrong.kind, "value_error"), wrong.value)
            for wrong in refusal.violations
        ]
        return _error(422, "validation_error", {"detail": details})
    if refusal.outcome is Outcome.MALFORMED:
        detail = _detail(["body"], "The body is not a JSON object", "json_invalid")
        return _error(422, "validation_error", {"detail": [detail]})

    kind, message = _REFUSALS.get(refusal.status, _REFUSALS[500 if refusal.status >= 500 else 400])
    wait = {} if refusal.retry_after_s is None else {"retry-after": str(refusal.retry_after_s)}
    return _error(refusal.status, kind, {"detail": message, "error_type": kind}, headers=wait)


def _unknown_request(request_id: str) -> Response:
    body = {"detail": "Request not found", "error_type": "not_found"}
    return _error(404, "not_found", body, request_id)


def _detail(where: list[str], message: str, kind: str, value: object = None) -> dict[str, object]:
    return {
        "loc": where,
        "msg": message,
        "type": kind,
        "url": f"https://docs.fal.ai/errors#{kind}",
        "input": value,
    }


def _error(
    status: int,
    kind: str,
    body: Mapping[str, object],
    request_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error in Fal's shape."""
    marks = {
        "x-fal-error-type": kind,
        "x-fal-retryable": "true" if status in _RETRYABLE else "false",
        **(headers or {}),
    }
    return _reply(status, request_id or str(uuid.uuid4()), body, marks)


def _reply(
    status: int, request_id: str, body: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse(body, status, {"x-fal-request-id": request_id, **(headers or {})})
