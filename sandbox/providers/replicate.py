"""Replicate's HTTP API: predictions, their list, cancel, model schemas and the webhook secret."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ..files import file_urls, files_gone
from ..jobs import Job, State
from ..media.sketch import MediaShape
from ..models import MODELS, ModelSpec, find_model
from ..record import Outcome
from ..schema import Violation, check
from ..wire import HangUp, origin, read_body, wait_while_connected
from ..world import Order, Refusal, World, read_object
from .geometry import PICTURE_FORMATS, film_size, picture_size

NAME = "replicate"

_PAGE = 100
_FILES_LIFE_S = 3_600.0
_LONGEST_WAIT_S = 60
_EVENTS = ("start", "output", "logs", "completed")
_ENVELOPE = ("input", "webhook", "webhook_events_filter", "stream")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"

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
_TITLES = {
    400: "Bad request",
    401: "Unauthenticated",
    402: "Insufficient credit",
    404: "Not found",
    413: "Request body too large",
    422: "Input validation failed",
    429: "Too many requests",
    503: "Service unavailable",
}
_DETAILS = {
    400: "The request body is not a JSON object with an input.",
    401: "You did not pass a valid authentication token",
    402: "You have insufficient credit to run this model.",
    404: "The requested resource could not be found.",
    413: "The request body is larger than allowed.",
    503: "The service is temporarily unavailable.",
}


def version_of(spec: ModelSpec) -> str:
    """Return the 64 hexadecimal digits that name the model's only version here."""
    return hashlib.sha256(f"{spec.provider}/{spec.id}".encode()).hexdigest()


_BY_VERSION = {version_of(spec): spec for spec in MODELS if spec.provider == NAME}


def _find_version(named: str) -> ModelSpec | None:
    """Return the model of a `version`, given as its digits, as owner/name:digits, or as owner/name."""
    model, _, digest = named.rpartition(":")
    spec = _BY_VERSION.get(digest) or find_model(NAME, named)
    return None if spec is None or model not in ("", spec.id) else spec


def router(world: World) -> APIRouter:
    """Return Replicate's routes."""
    return _Replicate(world).routes()


class _Replicate:
    def __init__(self, world: World) -> None:
        self._world = world

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
        raw = await read_body(request, self._world.config.max_body_bytes)
        model = f"{owner}/{name}"
        return await self._create(
            request, _read_order(request, model, find_model(NAME, model), raw, by_version=False)
        )

    async def create_for_version(self, request: Request) -> Response:
        raw = await read_body(request, self._world.config.max_body_bytes)
        version = (read_object(raw) or {}).get("version")
        named = version if isinstance(version, str) else ""
        spec = _find_version(named)
        model = spec.id if spec is not None else named
        return await self._create(request, _read_order(request, model, spec, raw, by_version=True))

    async def _create(self, request: Request, order: Order) -> Response:
        result = self._world.submit(order)
        if isinstance(result, Refusal):
            return _refused(result)
        if result.lost:
            return HangUp()
        await wait_while_connected(request, lambda: False, result.hang_s)

        wait_s = _wait_s(request.headers.get("prefer", ""))
        if wait_s == 0:
            return self._prediction(request, result.job, 201)
        final = await wait_while_connected(request, lambda: result.job.state(self._world.now()).final, wait_s)
        return self._prediction(request, result.job, 201 if final else 202)

    async def list_predictions(self, request: Request, cursor: str = "") -> Response:
        if closed := self._closed(request):
            return closed
        direction, ordinal = _read_cursor(cursor)
        jobs = self._world.jobs
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
                "results": [self._view(request, job) for job in page],
            }
        )

    async def read_prediction(self, request: Request, prediction_id: str) -> Response:
        if closed := self._closed(request):
            return closed
        job = self._world.jobs.find(NAME, prediction_id)
        return _problem(404) if job is None else self._prediction(request, job, 200)

    async def cancel_prediction(self, request: Request, prediction_id: str) -> Response:
        if closed := self._closed(request):
            return closed
        job = self._world.jobs.find(NAME, prediction_id)
        if job is None:
            return _problem(404)
        job.cancel(self._world.now())
        return self._prediction(request, job, 200)

    async def read_model(self, request: Request, owner: str, name: str) -> Response:
        if closed := self._closed(request):
            return closed
        spec = find_model(NAME, f"{owner}/{name}")
        if spec is None:
            return _problem(404)
        fields = {field: shape.describe() for field, shape in spec.fields.items()}
        needed = [field for field, shape in spec.fields.items() if shape.required]
        schema = {"type": "object", "title": "Input", "properties": fields, "required": needed}
        version = {"id": version_of(spec), "openapi_schema": {"components": {"schemas": {"Input": schema}}}}
        return JSONResponse({"owner": owner, "name": name, "visibility": "public", "latest_version": version})

    async def read_secret(self, request: Request) -> Response:
        if closed := self._closed(request):
            return closed
        digest = hashlib.sha256(f"webhook:{self._world.config.seed}".encode()).digest()
        return JSONResponse({"key": "whsec_" + base64.b64encode(digest[:24]).decode()})

    def _closed(self, request: Request) -> Response | None:
        """Return the answer to any call while the provider is out or the token is not one of its own."""
        if self._world.knobs.of(NAME).outage:
            return _problem(503)
        return None if _authorized(request) else _problem(401)

    def _base(self, request: Request) -> str:
        return f"{origin(request, self._world.config.public_url)}/{NAME}/v1"

    def _prediction(self, request: Request, job: Job, status: int) -> Response:
        return JSONResponse(self._view(request, job), status)

    def _view(self, request: Request, job: Job) -> dict[str, object]:
        now = self._world.now()
        state = job.state(now)
        gone = files_gone(job, now)
        ended_at = job.ended_at(now)
        started = now >= job.starts_at and not job.canceled_before_start
        aborted = state is State.CANCELED and not started and job.canceled_at == job.deadline_at
        here = f"{self._base(request)}/predictions/{job.id}"

        output: object = None
        if state is State.SUCCEEDED and not gone:
            urls = file_urls(job, origin(request, self._world.config.public_url))
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
            "error": _ERROR.get(state),
            "status": "aborted" if aborted else _STATUS[state],
            "source": "api",
            "created_at": _stamp(job.created_at),
            "started_at": _stamp(job.starts_at) if started else None,
            "completed_at": None if ended_at is None else _stamp(ended_at),
            "deadline": None if job.deadline_at is None else _stamp(job.deadline_at),
            "metrics": metrics,
            "urls": {"get": here, "cancel": f"{here}/cancel", "web": f"{here}/web"},
        }


def _read_order(
    request: Request,
    model: str,
    spec: ModelSpec | None,
    raw: bytes | None,
    *,
    by_version: bool,
) -> Order:
    body = read_object(raw)
    found = body.get("input") if body is not None else None
    given = found if isinstance(found, dict) else None
    violations = _envelope_problems(body, by_version, spec) if body is not None else []
    if spec is not None and given is not None:
        violations += check(spec.fields, given, "input")

    prompt = given.get("prompt") if given is not None else None
    webhook = body.get("webhook") if body is not None else None
    shape = None
    if spec is not None and given is not None and not violations:
        shape = _shape(spec, given)
    notes = {"version": version_of(spec) if spec is not None and by_version else "hidden"}
    return Order(
        provider=NAME,
        model=model,
        raw=raw,
        authorized=_authorized(request),
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
        width, height = film_size(ratio, str(wanted.get("resolution", "720p")))
        seconds = float(str(wanted["duration"]))
        audio = bool(wanted.get("generate_audio", False))
        return MediaShape("video", 1, width, height, "mp4", seconds=seconds, audio=audio)

    width, height = picture_size(ratio, 512 if wanted.get("megapixels") == "0.25" else 1024)
    form = PICTURE_FORMATS[str(wanted["output_format"])]
    count, quality = int(str(wanted["num_outputs"])), int(str(wanted["output_quality"]))
    return MediaShape("image", count, width, height, form, quality)


def _authorized(request: Request) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and token.startswith("r8_")


def _refused(refusal: Refusal) -> Response:
    if refusal.outcome is Outcome.RATE_LIMITED:
        detail = f"Request was throttled. Your rate limit resets in ~{refusal.retry_after_s}s."
        return _problem(429, detail, {"retry-after": str(refusal.retry_after_s)})
    if refusal.outcome is not Outcome.INVALID:
        return _problem(refusal.status)
    invalid = [
        {"type": wrong.kind, "field": ".".join(wrong.path), "description": wrong.message}
        for wrong in refusal.violations
    ]
    lines = "".join(f"- {field['field']}: {field['description']}\n" for field in invalid)
    return _problem(422, lines, invalid_fields=invalid)


def _problem(
    status: int,
    detail: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> Response:
    """Return an error in Replicate's shape."""
    title = _TITLES.get(status, "Internal server error" if status >= 500 else "Request failed")
    body = {"title": title, "detail": detail or _DETAILS.get(status, title), "status": status, **more}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _wait_s(prefer: str) -> int:
    """Return the seconds that a `Prefer: wait[=n]` header asks for; 0 without one."""
    match = re.search(r"\bwait(?:=(\d+))?", prefer)
    if match is None:
        return 0
    return max(1, min(int(match[1]), _LONGEST_WAIT_S)) if match[1] else _LONGEST_WAIT_S


def _seconds(duration: str) -> float | None:
    """Return the seconds in a `Cancel-After` header such as "1h30m"; None unless it is 5 s or more."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", duration)
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    return float(total) if total >= 5 else None


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
