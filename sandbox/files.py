"""Output files: their addresses, and the route that serves them."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Response

from .jobs import Job, State
from .media.sketch import sketch
from .media.spoil import spoil, spoiled_shape
from .world import World

LAST_FRAME = "last.png"
"""Name of a film's last frame, where a provider delivers one."""

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
    """Return one output of a job, encoded; spoiled when the job's outputs are at fault."""
    shape = spoiled_shape(job.shape, job.output_fault)
    return spoil(await world.media.file(sketch(job.prompt, job.seed, index), shape), job.output_fault)


def has_files(job: Job, now: float) -> bool:
    """Say whether the job has outputs to fetch; Fal delivers what its content policy flagged, too."""
    state = job.state(now)
    return state is State.SUCCEEDED or (state is State.MODERATED and job.refused_at_output)


def router(world: World) -> APIRouter:
    """Return the route of the output files; they need no key, as at the providers' own file hosts."""
    routes = APIRouter()

    @routes.api_route("/_files/{provider}/{job_id}/{name}", methods=["GET", "HEAD"])
    async def read_file(provider: str, job_id: str, name: str) -> Response:
        job = world.jobs.find(provider, job_id)
        now = world.now()
        if job is None or not has_files(job, now) or files_gone(job, now) or job.output_fault == "missing":
            return _absent(404, "NoSuchKey", "There is no such file, or no more.")
        if job.output_fault == "expired":
            return _absent(403, "AccessDenied", "Request has expired")
        if job.output_fault == "forbidden":
            return _absent(403, "SignatureDoesNotMatch", "The signature of the address is wrong.")
        if name == LAST_FRAME and job.spec.media == "video":
            still = replace(job.shape, kind="image", format="png", seconds=0.0, audio=False)
            return Response(
                await world.media.file(sketch(job.prompt, job.seed, 0), still), media_type="image/png"
            )
        names = [url.rsplit("/", 1)[1] for url in file_urls(job, "")]
        if name not in names:
            return _absent(404, "NoSuchKey", "The job has no such output.")
        content = await file_bytes(world, job, names.index(name))
        return Response(content, media_type=content_type(job), headers={"cache-control": "private"})

    return routes


def _absent(status: int, code: str, message: str) -> Response:
    """Return a refusal in the form that object stores use."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(text, status, media_type="application/xml")
