"""Alibaba Cloud Model Studio (DashScope): films and older pictures as tasks, newer pictures at once or as tasks."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ..desk import Desk, bearer, retry_after
from ..files import file_urls
from ..jobs import CancelResult, Job, State
from ..media.sketch import MediaShape
from ..models import ModelSpec, find_model
from ..schema import Violation
from ..trouble import Trouble
from ..world import Order, Refusal, World, read_object
from .geometry import film_size, sides

NAME = "alibabacloud"

_LIFE_S = 86_400.0
"""How long tasks and their files are known."""

_NAMED_SIZES = {"1K": (1024, 1024), "2K": (2048, 2048), "4K": (4096, 4096)}
_STATUS = {
    State.QUEUED: "PENDING",
    State.RUNNING: "RUNNING",
    State.SUCCEEDED: "SUCCEEDED",
    State.FAILED: "FAILED",
    State.MODERATED: "FAILED",
    State.CANCELED: "CANCELED",
}
_WORDS: dict[Trouble, tuple[int, str, str]] = {
    Trouble.INVALID: (400, "InvalidParameter", "A parameter is not valid."),
    Trouble.MALFORMED: (400, "InvalidParameter", "The request body is not valid JSON."),
    Trouble.TOO_LARGE: (413, "InvalidParameter", "The request body is too large."),
    Trouble.UNKNOWN_MODEL: (404, "ModelNotFound", "The model can not be found."),
    Trouble.MODERATION: (400, "DataInspectionFailed", "Input data may contain inappropriate content."),
    Trouble.AUTH: (401, "InvalidApiKey", "Invalid API-key provided."),
    Trouble.FORBIDDEN: (403, "AccessDenied", "Access denied."),
    Trouble.BILLING: (400, "Arrearage", "Access denied, please make sure your account is in good standing."),
    Trouble.QUOTA: (429, "PrepaidBillOverdue", "The prepaid bill is overdue."),
    Trouble.RATE: (429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    Trouble.CAPACITY: (429, "Throttling", "Requests throttling triggered."),
    Trouble.TIMEOUT: (504, "GatewayTimeout", "The request timed out."),
    Trouble.INTERNAL: (500, "InternalError", "An internal error has occurred, please try again later."),
    Trouble.UNAVAILABLE: (503, "ServiceUnavailable", "The service is unavailable, please try again later."),
}
_OUTPUT_REFUSED = "Output data may contain inappropriate content."


def router(world: World) -> APIRouter:
    """Return Alibaba Cloud's routes."""
    return _Alibaba(world).routes()


class _Alibaba(Desk):
    def __init__(self, world: World) -> None:
        super().__init__(world, NAME)

    def routes(self) -> APIRouter:
        routes = APIRouter()
        services = "/services/aigc"
        for path, handler in (
            ("multimodal-generation/generation", self.make_at_once),
            ("image-generation/generation", self.make_picture),
            ("text2image/image-synthesis", self.make_old_picture),
            ("video-generation/video-synthesis", self.make_film),
        ):
            routes.add_api_route(f"{services}/{path}", handler, methods=["POST"])
        routes.add_api_route("/tasks", self.list_tasks, methods=["GET"])
        routes.add_api_route("/tasks/{task_id}", self.read_task, methods=["GET"])
        routes.add_api_route("/tasks/{task_id}/cancel", self.cancel_task, methods=["POST"])
        return routes

    async def make_at_once(self, request: Request) -> Response:
        taken = await self.take(request, lambda raw: _read_order(request, "chat", raw, self.origin(request)))
        if isinstance(taken, Response):
            return taken
        if isinstance(taken, Refusal):
            return _refused(taken)
        await self.hold(request, taken)
        now = self.world.now()
        state = taken.state(now)
        if state is State.MODERATED:
            message = _OUTPUT_REFUSED if taken.refused_at_output else None
            return _refused_as(Trouble.MODERATION, message=message)
        if state is not State.SUCCEEDED:
            return _refused_as(Trouble.INTERNAL)
        usage = {"image_count": taken.shape.count, "width": taken.shape.width, "height": taken.shape.height}
        return _reply({"output": {"choices": _choices(taken)}, "usage": usage})

    async def make_picture(self, request: Request) -> Response:
        return await self._start(request, "chat")

    async def make_old_picture(self, request: Request) -> Response:
        return await self._start(request, "text2image")

    async def make_film(self, request: Request) -> Response:
        return await self._start(request, "film")

    async def _start(self, request: Request, route: str) -> Response:
        taken = await self.take(
            request, lambda raw: _read_order(request, route, raw, self.origin(request), as_task=True)
        )
        if isinstance(taken, Response):
            return taken
        if isinstance(taken, Refusal):
            return _refused(taken)
        return _reply({"output": {"task_status": "PENDING", "task_id": taken.id}})

    async def read_task(self, request: Request, task_id: str) -> Response:
        if closed := self.closed(authorized=bool(bearer(request))):
            return _refused(closed)
        job = self._find_task(task_id)
        if job is None:
            return _reply({"output": {"task_id": task_id, "task_status": "UNKNOWN"}})
        return _reply(self._view(job))

    async def list_tasks(self, request: Request, page_no: int = 1, page_size: int = 10) -> Response:
        if closed := self.closed(authorized=bool(bearer(request))):
            return _refused(closed)
        asked = request.query_params
        now = self.world.now()
        model, status = asked.get("model_name"), asked.get("status")
        first, last = _time(asked.get("start_time")), _time(asked.get("end_time"))
        found = [
            job
            for job in self.world.jobs.newest_first(NAME)
            if self._find_task(job.id) is not None and model in (None, job.spec.id)
            if status in (None, _STATUS[job.state(now)])
            if (first is None or job.created_at >= first) and (last is None or job.created_at <= last)
        ]
        size = max(1, min(page_size, 100))
        start = (max(1, page_no) - 1) * size
        tasks = [self._row(job, now) for job in islice(found, start, start + size)]
        page = {
            "page_no": page_no,
            "page_size": size,
            "total": len(found),
            "total_page": -(-len(found) // size),
        }
        return _reply(page | {"data": tasks, "tasks": tasks})

    async def cancel_task(self, request: Request, task_id: str) -> Response:
        if closed := self.closed(authorized=bool(bearer(request))):
            return _refused(closed)
        job = self._find_task(task_id)
        if job is None:
            return _error(400, "UnsupportedOperation", "The task does not exist or cannot be cancelled.")
        now = self.world.now()
        if job.state(now) is not State.QUEUED or job.cancel(now) is not CancelResult.REMOVED:
            return _error(400, "UnsupportedOperation", "Failed to cancel the task, only PENDING ones can be.")
        return _reply({})

    def _find_task(self, task_id: str) -> Job | None:
        job = self.find(task_id)
        if job is None or job.notes["task"] == "no":
            return None
        return None if self.world.now() >= job.created_at + _LIFE_S else job

    def _row(self, job: Job, now: float) -> dict[str, object]:
        ended_at = job.ended_at(now)
        started = now >= job.starts_at and not job.canceled_before_start
        state = job.state(now)
        status = "SUSPENDED" if job.throttled and state is State.QUEUED else _STATUS[state]
        row: dict[str, object] = {
            "task_id": job.id,
            "task_status": status,
            "status": status,
            "model_name": job.spec.id,
            "submit_time": _stamp(job.created_at),
            "gmt_create": round(job.created_at * 1000),
        }
        if started:
            row["scheduled_time"] = _stamp(job.starts_at)
        if ended_at is not None:
            row["end_time"] = _stamp(ended_at)
        return row

    def _view(self, job: Job) -> dict[str, object]:
        now = self.world.now()
        state = job.state(now)
        row = self._row(job, now)
        output = {name: row[name] for name in row if name not in ("model_name", "status")}
        if state is State.MODERATED:
            message = _OUTPUT_REFUSED if job.refused_at_output else _WORDS[Trouble.MODERATION][2]
            return {"output": output | {"code": "DataInspectionFailed", "message": message}}
        if state is State.FAILED:
            return {"output": output | {"code": "InternalError", "message": _WORDS[Trouble.INTERNAL][2]}}
        if state is not State.SUCCEEDED:
            return {"output": output}
        if job.spec.route == "film":
            return self._film(job, output)
        usage = {"image_count": job.shape.count}
        if job.spec.route == "chat":
            return {"output": output | {"finished": True, "choices": _choices(job)}, "usage": usage}
        results: list[dict[str, str]] = [{"url": url} for url in file_urls(job, job.notes["origin"])]
        missing = job.asked - job.shape.count
        results += [{"code": "InternalError.Timeout", "message": "The picture was not made."}] * missing
        metrics = {"TOTAL": job.asked, "SUCCEEDED": job.shape.count, "FAILED": missing}
        return {"output": output | {"task_metrics": metrics, "results": results}, "usage": usage}

    def _film(self, job: Job, output: dict[str, object]) -> dict[str, object]:
        seconds = round(job.shape.seconds)
        usage = {
            "video_count": 1,
            "duration": round(seconds * job.cost_factor, 3),
            "output_video_duration": seconds,
            "SR": min(job.shape.width, job.shape.height),
            "ratio": job.notes["ratio"],
            "fps": 24,
        }
        url = file_urls(job, job.notes["origin"])[0]
        return {"output": output | {"video_url": url, "orig_prompt": job.prompt}, "usage": usage}


def _choices(job: Job) -> list[dict[str, object]]:
    return [
        {
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": [{"image": url, "type": "image"}]},
        }
        for url in file_urls(job, job.notes["origin"])
    ]


def _read_order(
    request: Request, route: str, raw: bytes | None, origin: str, *, as_task: bool = False
) -> Order:
    given = read_object(raw)
    named = (given or {}).get("model")
    model = named if isinstance(named, str) else ""
    spec = find_model(NAME, model, route)
    violations: list[Violation] = []
    if given is not None and "model" not in given:
        violations.append(Violation(("model",), "missing", "Field required"))
    if spec is not None and given is not None:
        violations += spec.problems(given, ())
    asked_for_task = request.headers.get("x-dashscope-async", "").lower() == "enable"
    if given is not None and as_task and not asked_for_task:
        violations = [Violation((), "sync", "current user api does not support synchronous calls.")]
    if given is not None and not as_task and asked_for_task:
        violations = [Violation((), "sync", "current user api does not support asynchronous calls.")]

    parameters = _record(given, "parameters")
    ratio = str(parameters.get("ratio", "16:9"))
    fit = spec is not None and given is not None and not violations
    return Order(
        provider=NAME,
        model=model,
        raw=raw,
        authorized=bool(bearer(request)),
        spec=spec,
        given=given,
        shape=_shape(spec, parameters) if fit and spec is not None else None,
        prompt=_prompt(_record(given, "input")),
        prompt_path=("input", "prompt"),
        violations=tuple(violations),
        seed=parameters.get("seed"),
        job_id=str(uuid.uuid4()),
        files_life_s=_LIFE_S,
        moderates_at_submit=True,
        notes={
            "origin": origin,
            "task": "yes" if as_task else "no",
            "ratio": "16:9" if ratio == "adaptive" else ratio,
        },
    )


def _record(given: Mapping[str, object] | None, name: str) -> Mapping[str, object]:
    found = (given or {}).get(name)
    return found if isinstance(found, dict) else {}


def _prompt(words: Mapping[str, object]) -> str:
    prompt = words.get("prompt")
    if isinstance(prompt, str):
        return prompt
    messages = words.get("messages")
    texts: list[str] = []
    for message in messages if isinstance(messages, list) else []:
        content = message.get("content") if isinstance(message, dict) else None
        for item in content if isinstance(content, list) else []:
            text = item.get("text") if isinstance(item, dict) else None
            texts += [text] if isinstance(text, str) else []
    return "\n".join(texts)


def _shape(spec: ModelSpec, parameters: Mapping[str, object]) -> MediaShape:
    wanted = {**spec.defaults, "resolution": "1080P", **parameters}
    if spec.media == "video":
        if "size" in parameters:
            width, height = sides(str(parameters["size"]), "*")
        else:
            ratio = str(wanted["ratio"])
            width, height = film_size("16:9" if ratio == "adaptive" else ratio, str(wanted["resolution"]))
        seconds = 5.0 if wanted["duration"] == -1 else float(str(wanted["duration"]))
        audio = bool(wanted.get("audio", spec.id.startswith("wan3")))
        return MediaShape("video", 1, width, height, "mp4", seconds=seconds, audio=audio)
    size = str(wanted["size"])
    width, height = _NAMED_SIZES[size] if size in _NAMED_SIZES else sides(size, "*")
    return MediaShape("image", int(str(wanted["n"])), width, height, "png")


def _refused(refusal: Refusal) -> Response:
    if not refusal.violations:
        return _refused_as(refusal.trouble, refusal.forced_status, headers=retry_after(refusal))
    wrong = refusal.violations[0]
    if wrong.kind == "sync":
        return _error(403, "AccessDenied", wrong.message)
    return _error(400, "InvalidParameter", f"{'.'.join(wrong.path)}: {wrong.message}")


def _refused_as(
    trouble: Trouble,
    forced_status: int | None = None,
    *,
    message: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    status, code, usual = _WORDS[trouble]
    return _error(forced_status or status, code, message or usual, headers)


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    body = {"code": code, "message": message, "request_id": str(uuid.uuid4())}
    return JSONResponse(body, status, headers)


def _reply(body: Mapping[str, object]) -> Response:
    return JSONResponse({**body, "request_id": str(uuid.uuid4())})


def _time(asked: str | None) -> float | None:
    """Return the time in a filter such as "20261122093000"."""
    if asked is None:
        return None
    try:
        return datetime.strptime(asked, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
