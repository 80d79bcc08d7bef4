"""`python -m tests.tour [WORD …]`: every provider makes what it can, and the table says what it took and cost.

One model for each provider and kind of media; with the word `all`, every model at every provider that serves it.
"""

from __future__ import annotations

import asyncio
import io
import sys
import time
from dataclasses import dataclass

import asyncpg
import av
from PIL import Image

from server.catalog import Model, load_catalog
from server.catalog.check import served
from tests.support.live import Customer, Live, NotInTimeError, live_stack

_CREDIT = 500_000_000
_AT_ONCE = 8
_FIRST_MARK = 500
_WIDTHS = (13, 6, 27, 8, 9, 9, 9, 8)
_CHARGED = "select charged from generation.generation where id = $1"
_BOOKED = "select provider, state, cost_micros from generation.attempt where generation_id = $1"


@dataclass(frozen=True)
class Stop:
    """One provider, one kind of media, and the model that shows it."""

    provider: str
    model: Model

    @property
    def body(self) -> dict[str, object]:
        """A request for the least of what the provider serves."""
        offer = served(self.model, self.model.provider(self.provider))
        least: dict[str, object] = {
            f"generation_{name}": offer[name][0]
            for name in ("ratio", "output_format", "duration", "resolution")
            if offer.get(name)
        }
        return least | {"generation_provider_order": self.provider}


def stops(*, all_models: bool = False) -> list[Stop]:
    """Every provider with each kind of media that it serves, by the first of its models or by all of them."""
    catalog = load_catalog()
    found = []
    for provider in sorted(catalog.providers):
        models = catalog.models_of(provider)
        for media in ("image", "video"):
            mine = [model for model in models if model.media == media]
            # Its own line of models first: that is what a customer goes to this provider for.
            mine.sort(key=lambda model: (model.provider_ids.index(provider), model.identifier))
            found += [Stop(provider, model) for model in (mine if all_models else mine[:1])]
    return found


async def visit(live: Live, customer: Customer, stop: Stop, mark: int) -> tuple[str, ...]:
    """One generation from the POST to its decoded file; the columns of its line, the last one the verdict.

    `mark` is the time that the job takes, in milliseconds: it tells the job from all others in the sandbox's log.
    """
    model = stop.model
    token = f"slow={mark}"
    began = time.monotonic()
    body = stop.body | {"generation_prompt": f"A lighthouse on a basalt cliff in morning fog [[{token}]]"}
    created = await live.create(customer, model.media, model.identifier, body)
    if created.status != 200:
        error = created.body["error"]
        return ("-", "-", "-", "-", "-", f"refused: {error['message']} {error.get('details', '')}")
    record = await live.ended(customer, created.generation_id, 150)
    seconds = time.monotonic() - began
    if record["generation_status"] != "succeeded":
        said = f"{record['generation_status']}: {record.get('generation_error')}"
        return (f"{seconds:.1f} s", "-", "-", "-", "-", said)
    file = await live.http.get(record["generation_output_file"][0])
    problem = "" if file.status_code == 200 else f"the file answers {file.status_code}"
    problem = problem or _undecodable(model.media, file.content)
    (charged,) = (await live.rows(_CHARGED, created.generation_id))[0]
    attempts = await live.rows(_BOOKED, created.generation_id)
    entries = [entry for entry in (await live.log())[0] if token in entry["magic"]]
    billed = sum(entry["billable"] for entry in entries)
    problem = problem or _miscounted(stop, record, entries, attempts, billed)
    booked = sum(attempt["cost_micros"] or 0 for attempt in attempts)
    money = _dollars(charged), _dollars(billed), _dollars(booked)
    columns = f"{seconds:.1f} s", *money, f"{len(file.content) / 1000:.0f} kB"
    return (*columns, problem or "ok")


def _miscounted(
    stop: Stop,
    record: dict[str, object],
    entries: list[dict[str, object]],
    attempts: list[asyncpg.Record],
    billed: int,
) -> str:
    made = [(entry["provider"], entry["outcome"]) for entry in entries]
    if made != [(stop.provider, "accepted")]:
        return f"the sandbox was sent {made}"
    if record["generation_provider_used"] != stop.provider:
        return f"the record says {record['generation_provider_used']}"
    if [attempt["provider"] for attempt in attempts] != [stop.provider]:
        return f"{len(attempts)} attempts are on record"
    return "" if billed > 0 else "the sandbox billed nothing"


def _undecodable(media: str, content: bytes) -> str:
    try:
        if media == "image":
            with Image.open(io.BytesIO(content)) as picture:
                picture.load()
            return ""
        with av.open(io.BytesIO(content), mode="r") as film:
            return "" if any(True for _ in film.decode(video=0)) else "the film has no frame"
    except (OSError, ValueError) as error:
        return f"the decoder refuses the file ({type(error).__name__})"


def _dollars(micros: int) -> str:
    return f"{micros / 1e6:.4f} $"


async def run(words: list[str]) -> int:
    """Visits every stop; 0 when all of them did what they are for."""
    every = "all" in words
    words = [word for word in words if word != "all"]
    chosen = [
        stop
        for stop in stops(all_models=every)
        if all(word in f"{stop.provider} {stop.model.media} {stop.model.identifier}" for word in words)
    ]
    async with live_stack() as live:
        customer = await live.customer(_CREDIT)
        _line("provider", "media", "model", "latency", "price", "billed", "booked", "bytes", "verdict")
        room = asyncio.Semaphore(_AT_ONCE if every else 1)

        async def one(stop: Stop, mark: int) -> bool:
            async with room:
                try:
                    columns = await visit(live, customer, stop, mark)
                except NotInTimeError as error:
                    columns = ("-", "-", "-", "-", "-", str(error))
            _line(stop.provider, stop.model.media, stop.model.identifier, *columns)
            return columns[-1] == "ok"

        went = await asyncio.gather(*(one(stop, _FIRST_MARK + number) for number, stop in enumerate(chosen)))
        failed = went.count(False)
        audit = await live.audit()
    print(f"{len(chosen)} generations, {failed} not as they must be; ledger audit {audit or 'clean'}.")
    return 1 if failed or audit or not chosen else 0


def _line(*columns: str) -> None:
    padded = [column.ljust(width) for column, width in zip(columns, _WIDTHS, strict=False)]
    print(" ".join([*padded, columns[-1]]), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(run(sys.argv[1:])))
