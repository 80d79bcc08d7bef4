"""What every provider does with a call, whatever its words: read it, submit it, hold it, hang up."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request, Response

from .jobs import Job
from .record import Outcome
from .trouble import Trouble
from .wire import HangUp, origin, read_body, wait_while_connected
from .world import Order, Refusal, World

_LONGEST_HOLD_S = 7_200.0


class Desk:
    """The part of one provider that has no words of its own."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name

    async def take(self, request: Request, read: Callable[[bytes | None], Order]) -> Job | Refusal | Response:
        """Return the job that a submit made, why there is none, or the hanging up that the caller gets."""
        if self.world.knobs.take(self.name, "reset_before"):
            self.world.note_reset(self.name)
            return HangUp()
        result = self.world.submit(read(await read_body(request, self.world.config.max_body_bytes)))
        if isinstance(result, Refusal):
            return HangUp() if result.outcome is Outcome.RESET else result
        if result.lost:
            return HangUp()
        await wait_while_connected(request, lambda: False, result.hang_s)
        return result.job

    async def hold(self, request: Request, job: Job, most_s: float = _LONGEST_HOLD_S) -> bool:
        """Keep the caller waiting until the job has ended; return whether it has."""
        return await wait_while_connected(request, lambda: job.state(self.world.now()).final, most_s)

    def closed(self, *, authorized: bool) -> Refusal | None:
        """Return why a call about a job is refused, or None."""
        if self.world.knobs.down(self.name):
            return Refusal(Outcome.OUTAGE, Trouble.UNAVAILABLE)
        return None if authorized else Refusal(Outcome.UNAUTHORIZED, Trouble.AUTH)

    def find(self, job_id: str) -> Job | None:
        """Return the job, unless its record was deleted."""
        job = self.world.jobs.find(self.name, job_id)
        return None if job is None or job.removed_at is not None else job

    def origin(self, request: Request) -> str:
        """Return scheme and host that files and jobs are reached at."""
        return origin(request, self.world.config.public_url)


def bearer(request: Request) -> str:
    """Return the token of an `Authorization: Bearer` header, or nothing."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def retry_after(refusal: Refusal) -> dict[str, str]:
    """Return the Retry-After header of a refusal that has one."""
    return {} if refusal.retry_after_s is None else {"retry-after": str(refusal.retry_after_s)}
