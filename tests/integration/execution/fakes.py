"""Three small providers behind one port, which do what a test tells them: one answers with the pictures themselves, one
with jobs that have ended at once, and one puts each call into a queue of its own.
"""

from __future__ import annotations

import asyncio
import base64
import struct
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.ids import uuid7
from sandbox.config import KEEP_ALIVE_SECONDS

Behaviour = Callable[[dict[str, Any]], Awaitable[Response | None]]
"""What a submit is answered with; None cuts the connection without an answer."""


def png() -> bytes:
    """A picture of one pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        framed = kind + content
        return struct.pack(">I", len(content)) + framed + struct.pack(">I", zlib.crc32(framed))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\x00\xff\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


async def cut(body: dict[str, Any]) -> Response | None:
    """Takes the request and says nothing."""
    return None


def says(status: int, content: object, **headers: str) -> Behaviour:
    """Answers so."""

    async def behave(body: dict[str, Any]) -> Response | None:
        return JSONResponse(
            content, status, {name.replace("_", "-"): value for name, value in headers.items()}
        )

    return behave


def pictures(count: int | None = None, content: bytes | None = None, after: float = 0.0) -> Behaviour:
    """Answers as OpenAI does, with so many pictures; None makes what was asked for."""

    async def behave(body: dict[str, Any]) -> Response | None:
        await asyncio.sleep(after)
        encoded = base64.b64encode(content or png()).decode()
        made = body.get("n", 1) if count is None else count
        return JSONResponse({"created": 1, "output_format": "png", "data": [{"b64_json": encoded}] * made})

    return behave


@dataclass
class Fakes:
    """The providers: what they are to do, and what they were asked."""

    url: str = ""
    scripts: dict[str, list[Behaviour]] = field(default_factory=lambda: defaultdict(list))
    """Next behaviours by provider; without one a provider does its work."""
    always: dict[str, Behaviour] = field(default_factory=dict)
    """Behaviour by provider that stays."""
    asked: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """Bodies of the submits by provider."""
    unfinished: set[str] = field(default_factory=set)
    """Jobs that stay in Fal's queue, or at work at Replicate."""
    stuck: int = 0
    """How many of Fal's next jobs will."""
    made: dict[str, int] = field(default_factory=dict)
    """Pictures by job."""
    listed: list[dict[str, Any]] = field(default_factory=list)
    """What Replicate's list of predictions shows."""
    canceled: list[str] = field(default_factory=list)
    """Jobs that Replicate was told to stop."""
    file_statuses: list[int] = field(default_factory=list)
    """What the next requests for files are answered with; without one a file comes."""

    def calls(self, provider: str) -> int:
        """How many submits a provider got."""
        return len(self.asked[provider])

    async def _behaviour(
        self, provider: str, request: Request
    ) -> tuple[dict[str, Any], Response | None] | None:
        body: dict[str, Any] = await request.json()
        self.asked[provider].append(body)
        script = self.scripts[provider]
        behave = script.pop(0) if script else self.always.get(provider)
        return None if behave is None else (body, await behave(body))

    async def openai(self, request: Request) -> Response:
        """POST /openai/v1/images/generations"""
        behaved = await self._behaviour("openai", request)
        if behaved is None:
            return await pictures()(self.asked["openai"][-1]) or Response()
        return behaved[1] or Cut()

    async def replicate(self, request: Request) -> Response:
        """POST /replicate/v1/models/{owner}/{name}/predictions"""
        behaved = await self._behaviour("replicate", request)
        if behaved is not None:
            return behaved[1] or Cut()
        job = f"rep{uuid7()}"
        self.made[job] = int(self.asked["replicate"][-1]["input"].get("number_of_images", 1))
        return JSONResponse({"id": job, "status": "starting"}, 201)

    async def replicate_job(self, request: Request) -> Response:
        """GET /replicate/v1/predictions/{job}"""
        job = request.path_params["job"]
        if job in self.unfinished:
            return JSONResponse({"id": job, "status": "processing"})
        return JSONResponse({"id": job, "status": "succeeded", "output": self._files(job)})

    async def replicate_cancel(self, request: Request) -> Response:
        """POST /replicate/v1/predictions/{job}/cancel"""
        job = request.path_params["job"]
        self.canceled.append(job)
        return JSONResponse({"id": job, "status": "canceled"})

    async def replicate_list(self, request: Request) -> Response:
        """GET /replicate/v1/predictions"""
        return JSONResponse({"results": self.listed, "next": None})

    async def fal(self, request: Request) -> Response:
        """POST /fal/{model}"""
        behaved = await self._behaviour("fal", request)
        if behaved is not None:
            return behaved[1] or Cut()
        job = f"fal{uuid7()}"
        if self.stuck:
            self.stuck -= 1
            self.unfinished.add(job)
        self.made[job] = int(self.asked["fal"][-1].get("num_images", 1))
        return self.queued(job)

    def queued(self, job: str) -> Response:
        """What Fal answers to a request that it took."""
        base = f"{self.url}/fal/jobs/{job}"
        return JSONResponse(
            {
                "request_id": job,
                "status": "IN_QUEUE",
                "status_url": f"{base}/status",
                "response_url": base,
                "cancel_url": f"{base}/cancel",
            }
        )

    async def fal_status(self, request: Request) -> Response:
        """GET /fal/jobs/{job}/status"""
        job = request.path_params["job"]
        return JSONResponse({"status": "IN_PROGRESS" if job in self.unfinished else "COMPLETED"})

    async def fal_result(self, request: Request) -> Response:
        """GET /fal/jobs/{job}"""
        return JSONResponse({"images": [{"url": url} for url in self._files(request.path_params["job"])]})

    async def fal_cancel(self, request: Request) -> Response:
        """PUT /fal/jobs/{job}/cancel"""
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)

    async def file(self, request: Request) -> Response:
        """GET /files/{name}"""
        if self.file_statuses:
            return Response(status_code=self.file_statuses.pop(0))
        return Response(png(), media_type="image/png")

    def _files(self, job: str) -> list[str]:
        return [f"{self.url}/files/{job}-{number}.png" for number in range(self.made.get(job, 1))]


class Cut(Response):
    """An answer that begins and never comes: the connection ends instead."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Ends in the middle of a word."""
        head = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionResetError


@asynccontextmanager
async def serving_fakes() -> AsyncIterator[Fakes]:
    """The providers on a free port of loopback."""
    fakes = Fakes()
    app = Starlette(
        routes=[
            Route("/openai/v1/images/generations", fakes.openai, methods=["POST"]),
            Route("/replicate/v1/models/{owner}/{name}/predictions", fakes.replicate, methods=["POST"]),
            Route("/replicate/v1/predictions", fakes.replicate_list),
            Route("/replicate/v1/predictions/{job}", fakes.replicate_job),
            Route("/replicate/v1/predictions/{job}/cancel", fakes.replicate_cancel, methods=["POST"]),
            Route("/fal/jobs/{job}/status", fakes.fal_status),
            Route("/fal/jobs/{job}/cancel", fakes.fal_cancel, methods=["PUT"]),
            Route("/fal/jobs/{job}", fakes.fal_result),
            Route("/fal/{model:path}", fakes.fal, methods=["POST"]),
            Route("/files/{name}", fakes.file),
            Route("/_sandbox/reset", lambda request: Response(), methods=["POST"]),
        ]
    )
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_level="critical",
        access_log=False,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(10), httpx.AsyncClient():
        while not server.started:
            await asyncio.sleep(0.01)
    fakes.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield fakes
    finally:
        server.should_exit = True
        await running
