"""Fal's queue API: submit, status, result and cancel."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ..callbacks import END
from ..desk import Desk, retry_after
from ..files import content_type, file_bytes, file_urls
from ..jobs import CancelResult, Job, State
from ..models import ModelSpec
from ..record import Outcome
from ..trouble import Trouble
from ..world import Refusal, World
from .fal_input import NAME, authorized, read_order

_USER = "sandbox"
_TYPES = {"missing": "missing", "extra": "extra_forbidden", "type": "value_error", "choice": "literal_error"}
_WORDS: dict[Trouble, tuple[int, str, str]] = {
    Trouble.INVALID: (422, "validation_error", "The input is not valid"),
    Trouble.MALFORMED: (422, "validation_error", "The request could not be read"),
    Trouble.TOO_LARGE: (413, "bad_request", "The request body is too large"),
    Trouble.UNKNOWN_MODEL: (404, "not_found", "Application not found"),
    Trouble.AUTH: (401, "auth_error", "Authentication is required to access this application"),
    Trouble.FORBIDDEN: (403, "auth_error", "Access to this application is denied"),
    Trouble.BILLING: (403, "auth_error", "User is locked. Reason: Exhausted balance."),
    Trouble.QUOTA: (403, "auth_error", "User is locked. Reason: Spending limit reached."),
    Trouble.RATE: (429, "rate_limited", "Too many requests"),
    Trouble.CAPACITY: (503, "internal_error", "No runner is available"),
    Trouble.TIMEOUT: (504, "request_timeout", "The request timed out"),
    Trouble.INTERNAL: (500, "internal_error", "Internal server error"),
    Trouble.UNAVAILABLE: (503, "internal_error", "The service is temporarily unavailable"),
    Trouble.MODERATION: (
        422,
        "content_policy_violation",
        "The content could not be processed because it was flagged by a content checker.",
    ),
}
_ENDINGS = {
    State.FAILED: (500, "internal_server_error", "The model stopped unexpectedly"),
    State.MODERATED: _WORDS[Trouble.MODERATION],
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
    provider = _Fal(world)
    world.callbacks.register(NAME, provider)
    return provider.routes()


class _Fal(Desk):
    def __init__(self, world: World) -> None:
        super().__init__(world, NAME)
        self._key = _key(f"fal:{world.config.seed}")

    def routes(self) -> APIRouter:
        routes = APIRouter()
        routes.add_api_route("/.well-known/jwks.json", self.read_keys, methods=["GET"])
        one = "/{owner}/{alias}/requests/{request_id}"
        routes.add_api_route(f"{one}/status", self.read_status, methods=["GET"])
        routes.add_api_route(f"{one}/cancel", self.cancel, methods=["PUT"])
        routes.add_api_route(one, self.read_result, methods=["GET"])
        routes.add_api_route("/{owner}/{alias}", self.submit, methods=["POST"])
        routes.add_api_route("/{owner}/{alias}/{path:path}", self.submit, methods=["POST"])
        return routes

    async def submit(self, request: Request, owner: str, alias: str, path: str = "") -> Response:
        model = "/".join(part for part in (owner, alias, path.strip("/")) if part)
        origin = self.origin(request)
        taken = await self.take(request, lambda raw: read_order(request, model, raw, origin))
        if isinstance(taken, Response):
            return taken
        if isinstance(taken, Refusal):
            return _refused(taken)
        place = {"status": "IN_QUEUE", "queue_position": self._ahead_of(taken)}
        return _reply(200, taken.id, {**place, **self._links(request, taken)})

    async def read_keys(self) -> Response:
        raw = self._key.public_key().public_bytes_raw()
        key = {"kty": "OKP", "crv": "Ed25519", "x": _base64url(raw), "use": "sig", "kid": "sandbox"}
        return JSONResponse({"keys": [key]})

    async def read_status(
        self, request: Request, owner: str, alias: str, request_id: str, logs: str = "0"
    ) -> Response:
        if closed := self._closed(request):
            return closed
        job = self._find(owner, alias, request_id)
        if job is None:
            return _unknown_request(request_id)

        now = self.world.now()
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
        if state in _ENDINGS and not _flagged(job, state):
            _, kind, message = _ENDINGS[state]
            done |= {"error": message, "error_type": kind}
        return _reply(200, job.id, done)

    async def read_result(self, request: Request, owner: str, alias: str, request_id: str) -> Response:
        if closed := self._closed(request):
            return closed
        job = self._find(owner, alias, request_id)
        if job is None:
            return _unknown_request(request_id)

        state = job.state(self.world.now())
        if not state.final:
            return _reply(400, job.id, {"detail": "Request is still in progress"})
        if state is State.CANCELED:
            status, kind, message = _ENDINGS[state]
            return _error(status, kind, {"detail": message, "error_type": kind}, job.id)
        if state in _ENDINGS and not _flagged(job, state):
            return _error(_ENDINGS[state][0], _ENDINGS[state][1], _ending(state), job.id)
        output = self._output(job, state)
        if job.given.get("sync_mode") is True:
            for index, image in enumerate(output["images"]):
                image["url"] = await self._data_uri(job, index)
        return _reply(200, job.id, output, {"x-fal-billable-units": _units(job)})

    async def cancel(self, request: Request, owner: str, alias: str, request_id: str) -> Response:
        if closed := self._closed(request):
            return closed
        job = self._find(owner, alias, request_id)
        if job is None:
            return _reply(404, request_id, {"status": "NOT_FOUND"})
        status, word = _CANCEL_REPLIES[job.cancel(self.world.now())]
        return _reply(status, job.id, {"status": word})

    def _output(self, job: Job, state: State) -> dict[str, Any]:
        urls = file_urls(job, job.notes["origin"])
        files: list[dict[str, object]] = [{"url": url, "content_type": content_type(job)} for url in urls]
        for file in files:
            if job.spec.media == "video":
                file["file_name"] = f"output.{job.shape.format}"
            else:
                file |= {"width": job.shape.width, "height": job.shape.height}
        known = {
            "images": files,
            "image": files[0],
            "video": files[0],
            "timings": {"inference": round(job.ends_at - job.starts_at, 6)},
            "seed": job.seed,
            "has_nsfw_concepts": [_flagged(job, state)] * len(urls),
            "prompt": job.prompt,
            "description": "",
        }
        return {name: known[name] for name in job.spec.answers}

    def events(self, job: Job) -> tuple[str, ...]:
        """Report the end only."""
        return (END,)

    def report(self, job: Job, as_of: float, said_at: float) -> dict[str, object]:
        """Return the report on the job."""
        state = job.state(as_of)
        report: dict[str, object] = {"request_id": job.id, "gateway_request_id": job.id}
        if state is State.SUCCEEDED or _flagged(job, state):
            return report | {"status": "OK", "payload": self._output(job, state)}
        return report | {"status": "ERROR", "error": _ENDINGS[state][2], "payload": _ending(state)}

    def headers(
        self, job: Job, raw: bytes, event_id: str, signed_at: float, *, genuine: bool
    ) -> dict[str, str]:
        """Return the signature over request, user, time and the digest of the body."""
        key = self._key if genuine else _key("somebody else")
        stamp = str(int(signed_at))
        message = "\n".join((job.id, _USER, stamp, hashlib.sha256(raw).hexdigest()))
        return {
            "x-fal-webhook-request-id": job.id,
            "x-fal-webhook-user-id": _USER,
            "x-fal-webhook-timestamp": stamp,
            "x-fal-webhook-signature": key.sign(message.encode()).hex(),
        }

    async def _data_uri(self, job: Job, index: int) -> str:
        content = base64.b64encode(await file_bytes(self.world, job, index)).decode()
        return f"data:{content_type(job)};base64,{content}"

    def _closed(self, request: Request) -> Response | None:
        """Return the answer to any call while the provider is out or the key is missing."""
        refusal = self.closed(authorized=authorized(request))
        return None if refusal is None else _refused(refusal)

    def _find(self, owner: str, alias: str, request_id: str) -> Job | None:
        """Return the app's job; one that was canceled while queued is gone from the queue."""
        job = self.world.jobs.find(NAME, request_id)
        if job is None or _app(job.spec) != f"{owner}/{alias}":
            return None
        removed = job.state(self.world.now()) is State.CANCELED and job.canceled_before_start
        return None if removed else job

    def _links(self, request: Request, job: Job) -> dict[str, object]:
        here = f"{self.origin(request)}/{NAME}/{_app(job.spec)}/requests/{job.id}"
        return {
            "request_id": job.id,
            "response_url": here,
            "status_url": f"{here}/status",
            "cancel_url": f"{here}/cancel",
        }

    def _ahead_of(self, job: Job) -> int:
        """Return a queue position: higher while the start is further away."""
        return max(0, int((job.starts_at - self.world.now()) // 1))


def _app(spec: ModelSpec) -> str:
    """Return owner/alias of a model id: queue URLs leave out the rest."""
    return "/".join(spec.id.split("/")[:2])


def _units(job: Job) -> str:
    units = job.shape.seconds if job.spec.price.unit == "second" else job.shape.count
    return f"{units * job.cost_factor:g}"


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


def _refused(refusal: Refusal) -> Response:
    if refusal.outcome is Outcome.INVALID and refusal.violations:
        details = [
            _detail(list(wrong.path), wrong.message, _TYPES.get(wrong.kind, "value_error"), wrong.value)
            for wrong in refusal.violations
        ]
        return _error(422, "validation_error", {"detail": details})
    if refusal.outcome is Outcome.MALFORMED:
        detail = _detail(["body"], "The body is not a JSON object", "json_invalid")
        return _error(422, "validation_error", {"detail": [detail]})

    status, kind, message = _WORDS[refusal.trouble]
    body: dict[str, object] = {"detail": message, "error_type": kind}
    if refusal.trouble is Trouble.MODERATION:
        body = _ending(State.MODERATED)
    return _error(refusal.forced_status or status, kind, body, headers=retry_after(refusal))


def _ending(state: State) -> dict[str, object]:
    """Return the body of a result that is an error."""
    _, kind, message = _ENDINGS[state]
    where = ["body", "prompt"] if state is State.MODERATED else ["body"]
    return {"detail": [_detail(where, message, kind)]}


def _flagged(job: Job, state: State) -> bool:
    """Say whether the outputs were made and flagged; models that have no word for it refuse instead."""
    able = "has_nsfw_concepts" in job.spec.answers
    return state is State.MODERATED and job.refused_at_output and able


def _key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


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
