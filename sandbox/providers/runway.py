"""Runway's API: everything is a task, polled until it ends; deleting a task cancels it or destroys its record."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ..desk import Desk, bearer, retry_after
from ..files import file_urls
from ..jobs import Job, State
from ..media.sketch import MediaShape
from ..models import ModelSpec, find_model
from ..record import Outcome
from ..schema import Violation
from ..trouble import Trouble
from ..world import Order, Refusal, World, read_object
from .geometry import film_size, sides

NAME = "runway"
VERSION = "2024-11-06"

_CREDIT_MICROS = 10_000
_FILES_LIFE_S = 172_800.0
_AUTO_SIZES = {"auto_480p": "480p", "auto_720p": "720p", "auto_1080p": "1080p"}

_WORDS: dict[Trouble, tuple[int, str]] = {
    Trouble.INVALID: (400, "Validation of body failed"),
    Trouble.MALFORMED: (400, "Validation of body failed: expected a JSON object"),
    Trouble.TOO_LARGE: (413, "Request body is too large"),
    Trouble.UNKNOWN_MODEL: (400, "Validation of body failed: model is not available"),
    Trouble.MODERATION: (400, "The request was rejected by content moderation"),
    Trouble.AUTH: (401, "The API key provided is invalid."),
    Trouble.FORBIDDEN: (403, "You do not have access to this model."),
    Trouble.BILLING: (400, "You do not have enough credits to run this task."),
    Trouble.QUOTA: (429, "You have reached your daily task limit for this model."),
    Trouble.RATE: (429, "Too many requests. Please slow down."),
    Trouble.CAPACITY: (503, "The service is overloaded. Please try again later."),
    Trouble.TIMEOUT: (504, "The request timed out."),
    Trouble.INTERNAL: (500, "An internal error occurred."),
    Trouble.UNAVAILABLE: (503, "The service is temporarily unavailable."),
}
_FAILURES = {
    State.FAILED: ("INTERNAL.BAD_OUTPUT.CODE01", "An unexpected error occurred."),
    State.MODERATED: ("SAFETY.INPUT.TEXT", "Your prompt was flagged by our content moderation."),
}


def router(world: World) -> APIRouter:
    """Return Runway's routes."""
    return _Runway(world).routes()


class _Runway(Desk):
    def __init__(self, world: World) -> None:
        super().__init__(world, NAME)

    def routes(self) -> APIRouter:
        routes = APIRouter()
        for path in ("text_to_image", "text_to_video", "image_to_video"):
            routes.add_api_route(f"/{path}", self.submit, methods=["POST"])
        routes.add_api_route("/tasks/{task_id}", self.read_task, methods=["GET"])
        routes.add_api_route("/tasks/{task_id}", self.delete_task, methods=["DELETE"])
        routes.add_api_route("/organization", self.read_organization, methods=["GET"])
        return routes

    async def submit(self, request: Request) -> Response:
        route = request.url.path.rsplit("/", 1)[1]
        origin = self.origin(request)
        taken = await self.take(request, lambda raw: _read_order(request, route, raw, origin))
        if isinstance(taken, Response):
            return taken
        if isinstance(taken, Refusal):
            return _refused(taken)
        taken.billed_when_stopped = True
        # What is estimated is the list price; what is charged in the end may differ.
        estimate = taken.price_micros / (taken.cost_factor or 1.0) / _CREDIT_MICROS
        return JSONResponse({"id": taken.id, "estimatedCost": {"credits": round(estimate, 2)}})

    async def read_task(self, request: Request, task_id: str) -> Response:
        if closed := self._closed(request):
            return closed
        job = self.find(task_id)
        return _not_found(task_id) if job is None else JSONResponse(_view(job, self.world.now()))

    async def delete_task(self, request: Request, task_id: str) -> Response:
        if closed := self._closed(request):
            return closed
        job = self.find(task_id)
        now = self.world.now()
        if job is None:
            return _not_found(task_id)
        if job.state(now).final:
            job.removed_at = now
        else:
            job.cancel(now)
        return Response(status_code=204)

    async def read_organization(self, request: Request) -> Response:
        if closed := self._closed(request):
            return closed
        return JSONResponse(
            {
                "creditBalance": 100_000,
                "tier": {"maxMonthlyCreditSpend": 1_000_000, "models": {}},
                "usage": {"models": {}},
            }
        )

    def _closed(self, request: Request) -> Response | None:
        refusal = self.closed(authorized=bool(bearer(request)))
        if refusal is not None:
            return _refused(refusal)
        return None if request.headers.get("x-runway-version") == VERSION else _versionless()


def _view(job: Job, now: float) -> dict[str, object]:
    state = job.state(now)
    stamp = datetime.fromtimestamp(job.created_at, UTC).isoformat(timespec="milliseconds")
    view: dict[str, object] = {"id": job.id, "createdAt": stamp.replace("+00:00", "Z")}
    credits_charged = round(job.price_micros / _CREDIT_MICROS)
    if not state.final:
        view["estimatedCost"] = {
            "credits": round(job.price_micros / (job.cost_factor or 1.0) / _CREDIT_MICROS, 2)
        }
    if state is State.QUEUED:
        return view | {"status": "THROTTLED" if job.throttled else "PENDING"}
    if state is State.RUNNING:
        spent = (now - job.starts_at) / max(0.001, job.ends_at - job.starts_at)
        return view | {"status": "RUNNING", "progress": round(min(0.99, spent), 2)}
    if state is State.SUCCEEDED:
        urls = file_urls(job, job.notes["origin"])
        return view | {"status": "SUCCEEDED", "output": urls, "cost": {"credits": credits_charged}}
    if state is State.CANCELED:
        return view | {"status": "CANCELLED", "cost": {"credits": 0}}
    code, said = _FAILURES[state]
    if job.refused_at_output:
        code = f"SAFETY.OUTPUT.{job.spec.media.upper()}"
    return view | {"status": "FAILED", "failure": said, "failureCode": code, "cost": {"credits": 0}}


def _read_order(request: Request, route: str, raw: bytes | None, origin: str) -> Order:
    given = read_object(raw)
    named = (given or {}).get("model")
    model = named if isinstance(named, str) else ""
    spec = find_model(NAME, model, route)
    violations: list[Violation] = []
    if request.headers.get("x-runway-version") != VERSION:
        violations.append(Violation(("X-Runway-Version",), "version", "missing or not supported"))
    elif spec is not None and given is not None:
        violations += spec.problems(given, ())
    fit = spec is not None and given is not None and not violations
    prompt = (given or {}).get("promptText")
    return Order(
        provider=NAME,
        model=model,
        raw=raw,
        authorized=bool(bearer(request)),
        spec=spec,
        given=given,
        shape=_shape(spec, given) if fit and spec is not None and given is not None else None,
        prompt=prompt if isinstance(prompt, str) else "",
        prompt_path=("promptText",),
        violations=tuple(violations),
        job_id=str(uuid.uuid4()),
        files_life_s=_FILES_LIFE_S,
        notes={"origin": origin},
    )


def _shape(spec: ModelSpec, given: Mapping[str, object]) -> MediaShape:
    wanted = {**spec.defaults, **given}
    ratio = str(wanted["ratio"])
    size = film_size("16:9", _AUTO_SIZES[ratio]) if ratio in _AUTO_SIZES else sides(ratio, ":")
    if spec.media == "video":
        seconds = 5.0 if wanted["duration"] == "auto" else float(str(wanted["duration"]))
        return MediaShape("video", 1, *size, "mp4", seconds=seconds, audio=bool(wanted.get("audio")))
    return MediaShape("image", int(str(wanted["outputCount"])), *size, "png")


def _refused(refusal: Refusal) -> Response:
    if any(wrong.kind == "version" for wrong in refusal.violations):
        return _versionless()
    status, message = _WORDS[refusal.trouble]
    body: dict[str, object] = {"error": message}
    if refusal.violations:
        body["issues"] = [
            {"code": wrong.kind, "path": list(wrong.path), "message": wrong.message}
            for wrong in refusal.violations
        ]
    if refusal.outcome is Outcome.UNKNOWN_MODEL:
        body["issues"] = [
            {"code": "invalid_union_discriminator", "path": ["model"], "message": "Invalid input"}
        ]
    return JSONResponse(body, refusal.forced_status or status, retry_after(refusal))


def _versionless() -> Response:
    return JSONResponse({"error": f"X-Runway-Version is missing or not supported; use {VERSION}."}, 400)


def _not_found(task_id: str) -> Response:
    return JSONResponse({"error": f"Task with ID {task_id} not found."}, 404)
