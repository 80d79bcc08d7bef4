"""BytePlus ModelArk: pictures while the caller waits, films as tasks."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from itertools import islice

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ..callbacks import END, START
from ..desk import Desk, bearer, retry_after
from ..files import LAST_FRAME, file_bytes, file_urls
from ..jobs import Job, State
from ..media.sketch import MediaShape
from ..models import ModelSpec, find_model
from ..schema import Violation
from ..shapes import without_nulls
from ..trouble import Trouble
from ..world import Order, Refusal, World, read_object
from .geometry import PICTURE_FORMATS, film_size, sides

NAME = "byteplus"

_FILES_LIFE_S = 86_400.0
_FRAMES_PER_SECOND = 24
_SIZES = {"1K": (1024, 1024), "2K": (2048, 2048), "4K": (4096, 4096)}

_STATUS = {
    State.QUEUED: "queued",
    State.RUNNING: "running",
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.MODERATED: "failed",
    State.CANCELED: "cancelled",
}
_WORDS: dict[Trouble, tuple[int, str, str]] = {
    Trouble.INVALID: (400, "InvalidParameter", "One or more parameters are not valid."),
    Trouble.MALFORMED: (400, "InvalidParameter", "The request body is not a JSON object."),
    Trouble.TOO_LARGE: (413, "InvalidParameter", "The request body is too large."),
    Trouble.UNKNOWN_MODEL: (404, "InvalidEndpoint.NotFound", "The model or endpoint does not exist."),
    Trouble.MODERATION: (
        400,
        "InputTextSensitiveContentDetected",
        "The input text may contain sensitive information.",
    ),
    Trouble.AUTH: (401, "AuthenticationError", "The API key in the request is missing or invalid."),
    Trouble.FORBIDDEN: (403, "AccessDenied", "The account has no access to this resource."),
    Trouble.BILLING: (403, "AccountOverdueError", "The account has an overdue balance."),
    Trouble.QUOTA: (429, "QuotaExceeded", "The account's quota for this model is used up."),
    Trouble.RATE: (
        429,
        "ModelAccountRpmRateLimitExceeded",
        "Requests per minute of this model are exceeded.",
    ),
    Trouble.CAPACITY: (429, "ServerOverloaded", "The service is overloaded; try again later."),
    Trouble.TIMEOUT: (504, "InternalServiceError", "The request timed out."),
    Trouble.INTERNAL: (500, "InternalServiceError", "The service met an unexpected internal error."),
    Trouble.UNAVAILABLE: (503, "ServerOverloaded", "The service is temporarily unavailable."),
}
_OUTPUT_MODERATION = {
    "image": ("OutputImageSensitiveContentDetected", "The output image may contain sensitive information."),
    "video": ("OutputVideoSensitiveContentDetected", "The output video may contain sensitive information."),
}


def router(world: World) -> APIRouter:
    """Return BytePlus' routes."""
    provider = _BytePlus(world)
    world.callbacks.register(NAME, provider)
    return provider.routes()


class _BytePlus(Desk):
    def __init__(self, world: World) -> None:
        super().__init__(world, NAME)

    def routes(self) -> APIRouter:
        routes = APIRouter()
        tasks = "/contents/generations/tasks"
        routes.add_api_route("/images/generations", self.make_images, methods=["POST"])
        routes.add_api_route(tasks, self.create_task, methods=["POST"])
        routes.add_api_route(tasks, self.list_tasks, methods=["GET"])
        routes.add_api_route(f"{tasks}/{{task_id}}", self.read_task, methods=["GET"])
        routes.add_api_route(f"{tasks}/{{task_id}}", self.delete_task, methods=["DELETE"])
        return routes

    async def make_images(self, request: Request) -> Response:
        taken = await self.take(request, lambda raw: _read_order(request, "images", raw, ""))
        if isinstance(taken, Response):
            return taken
        if isinstance(taken, Refusal):
            return _refused(taken)
        await self.hold(request, taken)
        state = taken.state(self.world.now())
        if state is State.MODERATED:
            return _moderated(taken)
        if state is not State.SUCCEEDED:
            return _refused_as(Trouble.INTERNAL)
        return _reply(200, await self._images(request, taken))

    async def _images(self, request: Request, job: Job) -> dict[str, object]:
        size = f"{job.shape.width}x{job.shape.height}"
        if job.given.get("response_format") == "b64_json":
            files = [await file_bytes(self.world, job, index) for index in range(job.shape.count)]
            data = [{"b64_json": base64.b64encode(content).decode(), "size": size} for content in files]
        else:
            data = [{"url": url, "size": size} for url in file_urls(job, self.origin(request))]
        tokens = job.shape.width * job.shape.height // 256 * len(data)
        return {
            "model": job.spec.id,
            "created": int(job.ends_at),
            "data": data,
            "usage": {"generated_images": len(data), "output_tokens": tokens, "total_tokens": tokens},
        }

    async def create_task(self, request: Request) -> Response:
        origin = self.origin(request)
        taken = await self.take(request, lambda raw: _read_order(request, "tasks", raw, origin))
        if isinstance(taken, Response):
            return taken
        return _refused(taken) if isinstance(taken, Refusal) else _reply(200, {"id": taken.id})

    async def read_task(self, request: Request, task_id: str) -> Response:
        if closed := self.closed(authorized=bool(bearer(request))):
            return _refused(closed)
        job = self._find_task(task_id)
        return _not_found(task_id) if job is None else _reply(200, self.body(job, self.world.now()))

    async def list_tasks(self, request: Request, page_num: int = 1, page_size: int = 10) -> Response:
        if closed := self.closed(authorized=bool(bearer(request))):
            return _refused(closed)
        now = self.world.now()
        asked = request.query_params
        ids, status, model = (
            asked.getlist("filter.task_ids"),
            asked.get("filter.status"),
            asked.get("filter.model"),
        )
        found = [
            job
            for job in self.world.jobs.newest_first(NAME)
            if job.spec.route == "tasks" and job.removed_at is None
            if (not ids or job.id in ids) and model in (None, job.spec.id)
            if status in (None, _STATUS[job.state(now)])
        ]
        size = max(1, min(page_size, 500))
        start = (max(1, page_num) - 1) * size
        page = [self.body(job, now) for job in islice(found, start, start + size)]
        return _reply(200, {"total": len(found), "items": page})

    async def delete_task(self, request: Request, task_id: str) -> Response:
        if closed := self.closed(authorized=bool(bearer(request))):
            return _refused(closed)
        job = self._find_task(task_id)
        if job is None:
            return _not_found(task_id)
        now = self.world.now()
        state = job.state(now)
        if state is State.RUNNING:
            return _error(409, "InvalidAction.RunningTaskDeletion", "A running task cannot be deleted.")
        if state is State.QUEUED:
            job.cancel(now)
        else:
            job.removed_at = now
        return _reply(200, {})

    def _find_task(self, task_id: str) -> Job | None:
        job = self.find(task_id)
        return job if job is not None and job.spec.route == "tasks" else None

    def events(self, job: Job) -> tuple[str, ...]:
        """Report every change of status."""
        return (START, END)

    def report(self, job: Job, as_of: float, said_at: float) -> dict[str, object]:
        """Return what a poll would have said then."""
        return self.body(job, as_of)

    def headers(
        self, job: Job, raw: bytes, event_id: str, signed_at: float, *, genuine: bool
    ) -> dict[str, str]:
        """Return nothing: reports are not signed."""
        return {}

    def body(self, job: Job, now: float) -> dict[str, object]:
        """Return the task as of `now`; reports hold the same."""
        state = job.state(now)
        wanted = {**job.spec.defaults, **job.given}
        ended_at = job.ended_at(now)
        started_at = job.starts_at if now >= job.starts_at else job.created_at
        task: dict[str, object] = {
            "id": job.id,
            "model": job.spec.id,
            "status": _STATUS[state],
            "created_at": int(job.created_at),
            "updated_at": int(started_at if ended_at is None else ended_at),
            "service_tier": wanted.get("service_tier", "default"),
            "execution_expires_after": wanted.get("execution_expires_after", 172_800),
        }
        if "safety_identifier" in job.given:
            task["safety_identifier"] = job.given["safety_identifier"]
        if state is State.SUCCEEDED:
            content = {"video_url": file_urls(job, job.notes["origin"])[0]}
            if wanted.get("return_last_frame") is True:
                content["last_frame_url"] = f"{job.notes['origin']}/_files/{NAME}/{job.id}/{LAST_FRAME}"
            task |= {
                "content": content,
                "usage": {"completion_tokens": _tokens(job), "total_tokens": _tokens(job)},
                "seed": job.seed,
                "resolution": wanted["resolution"],
                "ratio": job.notes["ratio"],
                "duration": round(job.shape.seconds),
                "framespersecond": _FRAMES_PER_SECOND,
                "generate_audio": job.shape.audio,
            }
        elif state is State.FAILED:
            task["error"] = {"code": "InternalServiceError", "message": _WORDS[Trouble.INTERNAL][2]}
        elif state is State.MODERATED:
            code, message = _moderation(job)
            task["error"] = {"code": code, "message": message}
        return task


def _tokens(job: Job) -> int:
    """Return the tokens billed: pixels times frames, in the share of the list price that is asked."""
    width, height = film_size(job.notes["ratio"], job.notes["resolution"])
    full = width * height * _FRAMES_PER_SECOND * job.shape.seconds / 1024
    return round(full * job.cost_factor)


def _read_order(request: Request, route: str, raw: bytes | None, origin: str) -> Order:
    cleaned = without_nulls(read_object(raw))
    given = cleaned if isinstance(cleaned, dict) else None
    named = (given or {}).get("model")
    model = named if isinstance(named, str) else ""
    spec = find_model(NAME, model, route)
    violations: list[Violation] = []
    if given is not None and "model" not in given:
        violations.append(Violation(("model",), "missing", "Field required"))
    if spec is not None and given is not None:
        violations += spec.problems(given, ())
        if given.get("stream") is True:
            violations.append(Violation(("stream",), "choice", "Streaming is not offered here"))
    fit = spec is not None and given is not None and not violations
    webhook = (given or {}).get("callback_url")
    ratio = str((given or {}).get("ratio", "adaptive"))
    resolution = str((given or {}).get("resolution", (spec.defaults if spec else {}).get("resolution", "")))
    return Order(
        provider=NAME,
        model=model,
        raw=raw,
        authorized=bool(bearer(request)),
        spec=spec,
        given=given,
        shape=_shape(spec, given) if fit and spec is not None and given is not None else None,
        prompt=_prompt(given or {}),
        prompt_path=("prompt",) if route == "images" else ("content", "0", "text"),
        violations=tuple(violations),
        job_id=f"cgt-{uuid.uuid4()}",
        webhook=webhook if isinstance(webhook, str) else None,
        files_life_s=_FILES_LIFE_S,
        moderates_at_submit=True,
        notes={
            "origin": origin,
            "ratio": "16:9" if ratio == "adaptive" else ratio,
            "resolution": resolution,
        },
    )


def _prompt(given: Mapping[str, object]) -> str:
    prompt = given.get("prompt")
    if isinstance(prompt, str):
        return prompt
    content = given.get("content")
    items = content if isinstance(content, list) else []
    texts = [item.get("text") for item in items if isinstance(item, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _shape(spec: ModelSpec, given: Mapping[str, object]) -> MediaShape:
    wanted = {**spec.defaults, **given}
    if spec.media == "video":
        ratio = str(wanted["ratio"])
        width, height = film_size("16:9" if ratio == "adaptive" else ratio, str(wanted["resolution"]))
        asked = wanted["duration"]
        seconds = float(str(asked)) if asked != -1 else 5.0
        if isinstance(frames := given.get("frames"), int):
            seconds = frames / _FRAMES_PER_SECOND
        audio = bool(wanted["generate_audio"])
        return MediaShape("video", 1, width, height, "mp4", seconds=seconds, audio=audio)
    size = str(wanted["size"])
    width, height = _SIZES[size] if size in _SIZES else sides(size, "x")
    return MediaShape("image", _count(given), width, height, PICTURE_FORMATS[str(wanted["output_format"])])


def _count(given: Mapping[str, object]) -> int:
    """Return how many pictures come: more than one only where a series may be made."""
    options = given.get("sequential_image_generation_options")
    if given.get("sequential_image_generation") != "auto" or not isinstance(options, dict):
        return 1
    most = options.get("max_images", 1)
    return most if isinstance(most, int) else 1


def _moderation(job: Job) -> tuple[str, str]:
    if job.refused_at_output:
        return _OUTPUT_MODERATION[job.spec.media]
    return _WORDS[Trouble.MODERATION][1:]


def _moderated(job: Job) -> Response:
    code, message = _moderation(job)
    return _error(400, code, message)


def _refused(refusal: Refusal) -> Response:
    if not refusal.violations:
        return _refused_as(refusal.trouble, refusal.forced_status, retry_after(refusal))
    wrong = refusal.violations[0]
    code = "MissingParameter" if wrong.kind == "missing" else "InvalidParameter"
    where = ".".join(wrong.path)
    return _error(400, code, f"The parameter `{where}` is not valid: {wrong.message}.", where)


def _refused_as(
    trouble: Trouble, forced_status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    status, code, message = _WORDS[trouble]
    return _error(forced_status or status, code, message, headers=headers)


def _not_found(task_id: str) -> Response:
    return _error(404, "ResourceNotFound", f"The task {task_id} does not exist.", "id")


def _error(
    status: int, code: str, message: str, param: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    kinds = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 429: "TooManyRequests"}
    kind = kinds.get(status, "BadRequest" if status < 500 else "InternalServerError")
    error = {"code": code, "message": message, "param": param, "type": kind}
    return _reply(status, {"error": error}, headers)


def _reply(status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(body, status, {"x-request-id": uuid.uuid4().hex, **(headers or {})})
