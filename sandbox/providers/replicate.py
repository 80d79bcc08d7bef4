"""Replicate's HTTP API: predictions, their list, cancel, model schemas and the webhook secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ..callbacks import END, START
from ..config import webhook_secret
from ..desk import Desk, retry_after
from ..files import file_urls, files_gone
from ..jobs import Job, State
from ..models import find_model
from ..record import Outcome
from ..trouble import Trouble
from ..world import Order, Refusal, World, read_object
from .replicate_input import NAME, authorized, find_version, read_order, version_of

_PAGE = 100
_LONGEST_WAIT_S = 60

_STATUS = {
    State.QUEUED: "starting",
    State.RUNNING: "processing",
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.MODERATED: "failed",
    State.CANCELED: "canceled",
}
_ERROR = {
    State.FAILED: "Prediction failed: the model stopped unexpectedly.",
    State.MODERATED: "The input or output was flagged as sensitive. Please try again with different inputs. (E005)",
}
_NSFW = "NSFW content detected. Try running it again, or try a different prompt."
_WORDS: dict[Trouble, tuple[int, str, str]] = {
    Trouble.INVALID: (422, "Input validation failed", "The input is not valid."),
    Trouble.MALFORMED: (400, "Bad request", "The request body is not a JSON object with an input."),
    Trouble.TOO_LARGE: (413, "Request body too large", "The request body is larger than allowed."),
    Trouble.UNKNOWN_MODEL: (404, "Not found", "The requested resource could not be found."),
    Trouble.AUTH: (401, "Unauthenticated", "You did not pass a valid authentication token"),
    Trouble.FORBIDDEN: (403, "Forbidden", "You do not have permission to run this model."),
    Trouble.BILLING: (402, "Insufficient credit", "You have insufficient credit to run this model."),
    Trouble.QUOTA: (402, "Insufficient credit", "You have reached your spend limit."),
    Trouble.RATE: (429, "Too many requests", "Request was throttled."),
    Trouble.CAPACITY: (503, "Service unavailable", "The service is at capacity."),
    Trouble.TIMEOUT: (504, "Gateway timeout", "The request timed out."),
    Trouble.INTERNAL: (500, "Internal server error", "Internal server error"),
    Trouble.UNAVAILABLE: (503, "Service unavailable", "The service is temporarily unavailable."),
    # Known only as the end of a prediction; a knob can ask for it all the same.
    Trouble.MODERATION: (422, "Input validation failed", "The input was flagged as sensitive. (E005)"),
}


def router(world: World) -> APIRouter:
    """Return Replicate's routes."""
    provider = _Replicate(world)
    world.callbacks.register(NAME, provider)
    return provider.routes()


class _Replicate(Desk):
    def __init__(self, world: World) -> None:
        super().__init__(world, NAME)

    def routes(self) -> APIRouter:
        routes = APIRouter(prefix="/v1")
        one = "/predictions/{prediction_id}"
        routes.add_api_route(
            "/models/{owner}/{name}/predictions", self.create_for_model, methods=["POST"], status_code=201
        )
        routes.add_api_route("/models/{owner}/{name}", self.read_model, methods=["GET"])
        routes.add_api_route("/predictions", self.create_for_version, methods=["POST"], status_code=201)
        routes.add_api_route("/predictions", self.list_predictions, methods=["GET"])
        routes.add_api_route(one, self.read_prediction, methods=["GET"])
        routes.add_api_route(f"{one}/cancel", self.cancel_prediction, methods=["POST"])
        routes.add_api_route("/webhooks/default/secret", self.read_secret, methods=["GET"])
        return routes

    async def create_for_model(self, request: Request, owner: str, name: str) -> Response:
        model = f"{owner}/{name}"
        origin = self.origin(request)
        taken = await self.take(
            request,
            lambda raw: read_order(request, model, find_model(NAME, model), raw, origin, by_version=False),
        )
        return await self._created(request, taken)

    async def create_for_version(self, request: Request) -> Response:
        origin = self.origin(request)

        def read(raw: bytes | None) -> Order:
            version = (read_object(raw) or {}).get("version")
            named = version if isinstance(version, str) else ""
            spec = find_version(named)
            model = spec.id if spec is not None else named
            return read_order(request, model, spec, raw, origin, by_version=True)

        return await self._created(request, await self.take(request, read))

    async def _created(self, request: Request, taken: Job | Refusal | Response) -> Response:
        if isinstance(taken, Response):
            return taken
        if isinstance(taken, Refusal):
            return _refused(taken)
        wait_s = _wait_s(request.headers.get("prefer", ""))
        if wait_s == 0:
            return self._prediction(taken, 201)
        return self._prediction(taken, 201 if await self.hold(request, taken, wait_s) else 202)

    async def list_predictions(self, request: Request, cursor: str = "") -> Response:
        if closed := self._closed(request):
            return closed
        direction, ordinal = _read_cursor(cursor)
        jobs = self.world.jobs
        if direction == "newer":
            newer = islice((job for job in jobs.oldest_first(NAME) if job.ordinal > ordinal), _PAGE)
            page = list(newer)[::-1]
        else:
            older = (job for job in jobs.newest_first(NAME) if not cursor or job.ordinal < ordinal)
            page = list(islice(older, _PAGE))

        newest = next(jobs.newest_first(NAME), None)
        oldest = next(jobs.oldest_first(NAME), None)
        here = f"{self._base(request)}/predictions?cursor="
        previous = next_page = None
        if page and newest is not page[0]:
            previous = here + _cursor("newer", page[0].ordinal)
        if page and oldest is not page[-1]:
            next_page = here + _cursor("older", page[-1].ordinal)
        return JSONResponse(
            {
                "previous": previous,
                "next": next_page,
                "results": [self.body(job, self.world.now()) for job in page],
            }
        )

    async def read_prediction(self, request: Request, prediction_id: str) -> Response:
        if closed := self._closed(request):
            return closed
        job = self.find(prediction_id)
        return _problem(Trouble.UNKNOWN_MODEL) if job is None else self._prediction(job, 200)

    async def cancel_prediction(self, request: Request, prediction_id: str) -> Response:
        if closed := self._closed(request):
            return closed
        job = self.find(prediction_id)
        if job is None:
            return _problem(Trouble.UNKNOWN_MODEL)
        job.cancel(self.world.now())
        return self._prediction(job, 200)

    async def read_model(self, request: Request, owner: str, name: str) -> Response:
        if closed := self._closed(request):
            return closed
        spec = find_model(NAME, f"{owner}/{name}")
        if spec is None:
            return _problem(Trouble.UNKNOWN_MODEL)
        fields = {field: shape.describe() for field, shape in spec.fields.items()}
        needed = [field for field, shape in spec.fields.items() if shape.required]
        schema = {"type": "object", "title": "Input", "properties": fields, "required": needed}
        version = {"id": version_of(spec), "openapi_schema": {"components": {"schemas": {"Input": schema}}}}
        return JSONResponse({"owner": owner, "name": name, "visibility": "public", "latest_version": version})

    async def read_secret(self, request: Request) -> Response:
        if closed := self._closed(request):
            return closed
        return JSONResponse({"key": webhook_secret(self.world.config.seed)})

    def events(self, job: Job) -> tuple[str, ...]:
        """Report what the request asked for; everything when it said nothing."""
        wanted = job.notes["events"].split(",")
        return tuple(event for event in (START, END) if event in wanted)

    def report(self, job: Job, as_of: float, said_at: float) -> dict[str, object]:
        """Return what a poll would have said then."""
        return self.body(job, as_of)

    def headers(
        self, job: Job, raw: bytes, event_id: str, signed_at: float, *, genuine: bool
    ) -> dict[str, str]:
        """Return the id, the time and the HMAC-SHA256 of both with the body."""
        secret = webhook_secret(self.world.config.seed if genuine else -1)
        key = base64.b64decode(secret.removeprefix("whsec_"))
        stamp = str(int(signed_at))
        digest = hmac.new(key, f"{event_id}.{stamp}.".encode() + raw, hashlib.sha256).digest()
        return {
            "webhook-id": event_id,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }

    def _closed(self, request: Request) -> Response | None:
        """Return the answer to any call while the provider is out or the token is not one of its own."""
        refusal = self.closed(authorized=authorized(request))
        return None if refusal is None else _problem(refusal.trouble)

    def _base(self, request: Request) -> str:
        return f"{self.origin(request)}/{NAME}/v1"

    def _prediction(self, job: Job, status: int) -> Response:
        return JSONResponse(self.body(job, self.world.now()), status)

    def body(self, job: Job, now: float) -> dict[str, object]:
        """Return the prediction as of `now`; reports hold the same."""
        state = job.state(now)
        gone = files_gone(job, now)
        ended_at = job.ended_at(now)
        started = now >= job.starts_at and not job.canceled_before_start
        aborted = state is State.CANCELED and not started and job.canceled_at == job.deadline_at
        here = f"{job.notes['origin']}/{NAME}/v1/predictions/{job.id}"

        output: object = None
        if state is State.SUCCEEDED and not gone:
            urls = file_urls(job, job.notes["origin"])
            output = urls[0] if job.spec.media == "video" or job.spec.single_output else urls

        metrics: dict[str, float] = {}
        if ended_at is not None and started:
            metrics = {
                "predict_time": round(ended_at - job.starts_at, 6),
                "total_time": round(ended_at - job.created_at, 6),
            }
        return {
            "id": job.id,
            "model": job.spec.id,
            "version": job.notes["version"],
            "input": {} if gone else dict(job.given),
            "logs": f"Using seed: {job.seed}\n" if started and not gone else "",
            "output": output,
            "data_removed": gone,
            "error": _NSFW if job.refused_at_output and state is State.MODERATED else _ERROR.get(state),
            "status": "aborted" if aborted else _STATUS[state],
            "source": "api",
            "created_at": _stamp(job.created_at),
            "started_at": _stamp(job.starts_at) if started else None,
            "completed_at": None if ended_at is None else _stamp(ended_at),
            "deadline": None if job.deadline_at is None else _stamp(job.deadline_at),
            "metrics": metrics,
            "urls": {"get": here, "cancel": f"{here}/cancel", "web": f"{here}/web"},
        }


def _refused(refusal: Refusal) -> Response:
    if refusal.outcome is Outcome.INVALID and refusal.violations:
        invalid = [
            {"type": wrong.kind, "field": ".".join(wrong.path), "description": wrong.message}
            for wrong in refusal.violations
        ]
        lines = "".join(f"- {field['field']}: {field['description']}\n" for field in invalid)
        return _problem(Trouble.INVALID, detail=lines, invalid_fields=invalid)
    detail = None
    if refusal.retry_after_s is not None and refusal.trouble is Trouble.RATE:
        detail = f"Request was throttled. Your rate limit resets in ~{refusal.retry_after_s}s."
    return _problem(refusal.trouble, refusal.forced_status, retry_after(refusal), detail=detail)


def _problem(
    trouble: Trouble,
    forced_status: int | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    detail: str | None = None,
    **more: object,
) -> Response:
    """Return an error in Replicate's shape."""
    usual, title, usual_detail = _WORDS[trouble]
    status = forced_status or usual
    body = {"title": title, "detail": detail or usual_detail, "status": status, **more}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _wait_s(prefer: str) -> int:
    """Return the seconds that a `Prefer: wait[=n]` header asks for; 0 without one."""
    match = re.search(r"\bwait(?:=(\d+))?", prefer)
    if match is None:
        return 0
    return max(1, min(int(match[1]), _LONGEST_WAIT_S)) if match[1] else _LONGEST_WAIT_S


def _cursor(direction: str, ordinal: int) -> str:
    return base64.urlsafe_b64encode(f"{direction}:{ordinal}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[str, int]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        direction, _, ordinal = base64.urlsafe_b64decode(padded).decode().partition(":")
        return direction, int(ordinal)
    except ValueError:
        return "older", 2**63


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
