"""Output files: their addresses, and the route that serves them."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from .jobs import Job, State
from .media.sketch import sketch
from .world import World

_SUFFIX = {"png": "png", "jpeg": "jpg", "webp": "webp", "mp4": "mp4"}
_TYPE = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "mp4": "video/mp4"}


def content_type(job: Job) -> str:
    """Return the media type of the job's files."""
    return _TYPE[job.shape.format]


def file_urls(job: Job, base: str) -> list[str]:
    """Return the absolute address of each output."""
    suffix = _SUFFIX[job.shape.format]
    return [f"{base}/_files/{job.provider}/{job.id}/out-{n}.{suffix}" for n in range(job.shape.count)]


def files_gone(job: Job, now: float) -> bool:
    """Say whether the provider has removed the job's input and outputs."""
    ended_at = job.ended_at(now)
    return job.files_life_s is not None and ended_at is not None and now >= ended_at + job.files_life_s


async def file_bytes(world: World, job: Job, index: int) -> bytes:
    """Return one output of a job, encoded."""
    return await world.media.file(sketch(job.prompt, job.seed, index), job.shape)


def router(world: World) -> APIRouter:
    """Return the route of the output files; they need no key, as at the providers' own file hosts."""
    routes = APIRouter()

    @routes.api_route("/_files/{provider}/{job_id}/{name}", methods=["GET", "HEAD"])
    async def read_file(provider: str, job_id: str, name: str) -> Response:
        job = world.jobs.find(provider, job_id)
        now = world.now()
        if job is None or job.state(now) is not State.SUCCEEDED or files_gone(job, now):
            return JSONResponse({"detail": "There is no such file, or it has expired."}, 404)
        names = [url.rsplit("/", 1)[1] for url in file_urls(job, "")]
        if name not in names:
            return JSONResponse({"detail": "The job has no such output."}, 404)
        content = await file_bytes(world, job, names.index(name))
        return Response(content, media_type=content_type(job), headers={"cache-control": "private"})

    return routes
