"""Black Forest Labs' API: one path for each model, one to ask for results, reports signed with the caller's secret."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ..callbacks import END
from ..desk import Desk, retry_after
from ..files import file_urls
from ..jobs import Job, State
from ..media.sketch import MediaShape
from ..models import ModelSpec, find_model
from ..schema import Violation
from ..trouble import Trouble
from ..world import Order, Refusal, World, read_object
from .geometry import PICTURE_FORMATS, film_size, picture_size

NAME = "bfl"

_CENT_MICROS = 10_000
_FILES_LIFE_S = {"image": 600.0, "video": 7_200.0}
_SIDES = {"1k": 1024, "2k": 2048, "4k": 4096}

_WORDS: dict[Trouble, tuple[int, str]] = {
    Trouble.INVALID: (422, "Validation error"),
    Trouble.MALFORMED: (422, "JSON decode error"),
    Trouble.TOO_LARGE: (413, "Request body too large"),
    Trouble.UNKNOWN_MODEL: (404, "Not Found"),
    Trouble.MODERATION: (400, "Request moderated"),
    Trouble.AUTH: (401, "Invalid API key"),
    Trouble.FORBIDDEN: (403, "Not authenticated"),
    Trouble.BILLING: (402, "Insufficient credits"),
    Trouble.QUOTA: (402, "Insufficient credits"),
    Trouble.RATE: (429, "Rate limit exceeded: too many active tasks"),
    Trouble.CAPACITY: (503, "The model is at capacity"),
    Trouble.TIMEOUT: (504, "The request timed out"),
    Trouble.INTERNAL: (500, "Internal server error"),
    Trouble.UNAVAILABLE: (503, "Service unavailable"),
}
_KINDS = {"missing": "missing", "extra": "extra_forbidden", "choice": "literal_error", "range": "value_error"}


def router(world: World) -> APIRouter:
    """Return BFL's routes."""
    provider = _Bfl(world)
    world.callbacks.register(NAME, provider)
    return provider.routes()


class _Bfl(Desk):
    def __init__(self, world: World) -> None:
        super().__init__(world, NAME)

    def routes(self) -> APIRouter:
        routes = APIRouter(prefix="/v1")
        routes.add_api_route("/get_result", self.get_result, methods=["GET"])
        routes.add_api_route("/{model}", self.submit, methods=["POST"])
        return routes

    async def submit(self, request: Request, model: str) -> Response:
        origin = self.origin(request)
        taken = await self.take(request, lambda raw: _read_order(request, model, raw, origin))
        if isinstance(taken, Response):
            return taken
        if isinstance(taken, Refusal):
            return _refused(taken)
        reply: dict[str, object] = {"id": taken.id}
        if taken.webhook is None:
            reply["polling_url"] = f"{origin}/v1/get_result?id={taken.id}"
        else:
            reply |= {"status": "Pending", "webhook_url": taken.webhook}
        megapixels = round(taken.shape.width * taken.shape.height / 1_000_000, 2)
        reply |= {"cost": taken.price_micros / _CENT_MICROS, "input_mp": 0.0, "output_mp": megapixels}
        return JSONResponse(reply)

    async def get_result(self, request: Request) -> Response:
        if closed := self.closed(authorized=_authorized(request)):
            return _refused(closed)
        job_id = request.query_params.get("id")
        if not job_id:
            missing = {"loc": ["query", "id"], "msg": "Field required", "type": "missing"}
            return JSONResponse({"detail": [missing]}, 422)
        job = self.find(job_id)
        if job is None:
            return JSONResponse({"id": job_id, "status": "Task not found", "result": None})
        return JSONResponse(self._view(job, self.world.now()))

    def _view(self, job: Job, now: float) -> dict[str, object]:
        state = job.state(now)
        view: dict[str, object] = {"id": job.id, "status": _status(job, now), "result": None}
        view |= {"progress": None, "details": None, "preview": None}
        if state is State.SUCCEEDED:
            view["result"] = self._result(job)
        elif state is State.MODERATED:
            view["details"] = {"Moderation Reasons": ["Derivative Works Filter"]}
        elif state is State.RUNNING:
            spent = (now - job.starts_at) / max(0.001, job.ends_at - job.starts_at)
            view["progress"] = round(min(0.99, spent), 2)
        return view

    def _result(self, job: Job) -> dict[str, object]:
        return {
            "sample": file_urls(job, job.notes["origin"])[0],
            "prompt": job.prompt,
            "seed": job.seed,
            "start_time": job.starts_at,
            "end_time": job.ends_at,
            "duration": round(job.ends_at - job.starts_at, 3),
        }

    def events(self, job: Job) -> tuple[str, ...]:
        """Report the end only."""
        return (END,)

    def report(self, job: Job, as_of: float, said_at: float) -> dict[str, object]:
        """Return the report on the job."""
        report: dict[str, object] = {"id": job.id, "status": _status(job, as_of)}
        if job.state(as_of) is State.SUCCEEDED:
            report["result"] = self._result(job)
        else:
            report["error"] = report["status"]
        stamp = datetime.fromtimestamp(said_at, UTC).isoformat().replace("+00:00", "Z")
        return report | {"message": "", "timestamp": stamp}

    def headers(
        self, job: Job, raw: bytes, event_id: str, signed_at: float, *, genuine: bool
    ) -> dict[str, str]:
        """Return the signature with the secret that came with the request; nothing without one."""
        secret = job.notes["secret"]
        if not secret:
            return {}
        key = secret if genuine else f"not {secret}"
        return {"x-bfl-signature": f"sha256={hmac.new(key.encode(), raw, hashlib.sha256).hexdigest()}"}


def _status(job: Job, now: float) -> str:
    state = job.state(now)
    if state is State.MODERATED:
        return "Content Moderated" if job.refused_at_output else "Request Moderated"
    running = "Generating" if job.spec.id.startswith("flux-3") else "Pending"
    words = {State.QUEUED: "Pending", State.RUNNING: running, State.SUCCEEDED: "Ready"}
    return words.get(state, "Error")


def _read_order(request: Request, model: str, raw: bytes | None, origin: str) -> Order:
    spec = find_model(NAME, model)
    given = read_object(raw)
    violations: list[Violation] = []
    if spec is not None and given is not None:
        violations += spec.problems(given, "body")
    fit = spec is not None and given is not None and not violations
    values = given or {}
    prompt, webhook, secret = (values.get(name) for name in ("prompt", "webhook_url", "webhook_secret"))
    kept = {name: value for name, value in values.items() if name != "webhook_secret"}
    return Order(
        provider=NAME,
        model=model,
        raw=raw,
        authorized=_authorized(request),
        spec=spec,
        given=kept if given is not None else None,
        shape=_shape(spec, values) if fit and spec is not None else None,
        prompt=prompt if isinstance(prompt, str) else "",
        prompt_path=("body", "prompt"),
        violations=tuple(violations),
        job_id=str(uuid.uuid4()),
        webhook=webhook if isinstance(webhook, str) else None,
        files_life_s=_FILES_LIFE_S[spec.media] if spec is not None else None,
        notes={"origin": origin, "secret": secret if isinstance(secret, str) else ""},
    )


def _shape(spec: ModelSpec, given: Mapping[str, object]) -> MediaShape:
    wanted = {**spec.defaults, **given}
    if spec.media == "video":
        ratio = str(wanted["aspect_ratio"])
        width, height = film_size("16:9" if ratio == "auto" else ratio, str(wanted["resolution"]))
        seconds = 5.0 if wanted["duration"] == "auto" else float(str(wanted["duration"]))
        audio = bool(wanted["generate_audio"])
        return MediaShape("video", 1, width, height, "mp4", seconds=seconds, audio=audio)
    form = PICTURE_FORMATS[str(wanted["output_format"])]
    if "aspect_ratio" in wanted:
        longest = _SIDES.get(str(wanted.get("resolution", "")), 1024)
        width, height = picture_size(str(wanted["aspect_ratio"]), longest)
    else:
        width, height = int(str(wanted["width"])), int(str(wanted["height"]))
    return MediaShape("image", 1, width, height, form)


def _authorized(request: Request) -> bool:
    return bool(request.headers.get("x-key", "").strip())


def _refused(refusal: Refusal) -> Response:
    status, message = _WORDS[refusal.trouble]
    detail: object = message
    if refusal.violations:
        detail = [
            {"loc": list(wrong.path), "msg": wrong.message, "type": _KINDS.get(wrong.kind, "value_error")}
            for wrong in refusal.violations
        ]
    return JSONResponse({"detail": detail}, refusal.forced_status or status, retry_after(refusal))
