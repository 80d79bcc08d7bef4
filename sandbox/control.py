"""The sandbox's own routes under /_sandbox: knobs, log, jobs, health, reset."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from fastapi.responses import JSONResponse

from .jobs import Job, State
from .knobs import KnobError
from .world import World

_ALIASES = {"alibaba": "alibabacloud"}


def router(world: World, providers: list[str]) -> APIRouter:
    """Return the control routes."""
    routes = APIRouter(prefix="/_sandbox")

    @routes.get("/health")
    async def health() -> dict[str, object]:
        return {"status": "ok", "providers": providers}

    @routes.get("/knobs")
    async def read_knobs() -> dict[str, object]:
        return {name: knobs.model_dump(by_alias=True) for name, knobs in world.knobs.all().items()}

    @routes.put("/knobs/{provider}")
    async def change_knobs(provider: str, wanted: Annotated[Any, Body()] = None) -> Response:
        provider = _ALIASES.get(provider, provider)
        if provider not in providers:
            return JSONResponse({"detail": f"Unknown provider '{provider}'; choose {_or(providers)}."}, 404)
        if not isinstance(wanted, dict):
            return JSONResponse({"detail": "Send the knobs to change as one JSON object."}, 422)
        try:
            changed = world.knobs.change(provider, wanted)
        except KnobError as error:
            return JSONResponse({"detail": str(error)}, 422)
        return JSONResponse(changed.model_dump(by_alias=True))

    @routes.post("/reset")
    async def reset() -> dict[str, object]:
        world.reset()
        return {"status": "reset"}

    @routes.get("/log")
    async def read_log(
        provider: str | None = None, since: Annotated[int, Query(ge=0)] = 0
    ) -> dict[str, object]:
        provider = _ALIASES.get(provider or "", provider)
        return {"entries": world.log.read(world.now(), provider, since), "last": world.log.last_sequence}

    @routes.get("/bill")
    async def read_bill() -> dict[str, object]:
        return {"providers": world.log.bill(world.now())}

    @routes.get("/callbacks")
    async def read_callbacks() -> dict[str, object]:
        return {"attempts": world.callbacks.view()}

    @routes.get("/jobs")
    async def read_jobs(provider: str | None = None) -> dict[str, object]:
        provider = _ALIASES.get(provider or "", provider)
        now = world.now()
        wanted = [name for name in providers if provider in (None, name)]
        return {"jobs": [_job_view(job, now) for name in wanted for job in world.jobs.oldest_first(name)]}

    return routes


def _job_view(job: Job, now: float) -> dict[str, object]:
    return {
        "job_id": job.id,
        "provider": job.provider,
        "model": job.spec.id,
        "media": job.spec.media,
        "state": job.state(now).value,
        "created_at": job.created_at,
        "ends_at": job.ends_at,
        "canceled_at": job.canceled_at,
        "price": job.price_micros,
        "billable": job.billable_micros(now),
        "webhook": job.webhook is not None,
        "asked": job.asked,
        "delivered": job.shape.count if job.state(now) is State.SUCCEEDED else 0,
    }


def _or(names: list[str]) -> str:
    return ", ".join(names[:-1]) + f" or {names[-1]}"
