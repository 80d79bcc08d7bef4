"""One generation of the demo, through the public REST API only, and everything that it left behind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.demo.media import decode
from cli.errors import CliError
from cli.ledger_entries import as_json, captured_micros, entries_of
from cli.rest import Api
from cli.running import Running, RunningRegion
from cli.trace_tree import Trace, find_trace
from kit.money import micros

IMAGE_MODEL = "bfl/flux-schnell"
_WAIT_SECONDS = 120.0
_TRACE_SECONDS = 10.0
# The exporters of all processes write within 0.3 s; a tree that stays the same longer than that is complete.
_STEADY_SECONDS = 0.9


@dataclass(frozen=True, slots=True)
class Task:
    """What to make."""

    media: str
    model: str
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Shown:
    """A generation for people and, as `record`, for programs."""

    record: dict[str, Any]
    trace: Trace | None


def tasks(api: Api) -> list[Task]:
    """One picture, and one short video of a model that more than one provider serves.

    Raises:
        CliError: the library has no such model.
    """
    return [
        Task(
            "image",
            IMAGE_MODEL,
            {
                "generation_prompt": "A lighthouse on a basalt cliff in morning fog, watercolour, wide brush strokes",
                "generation_ratio": "16:9",
                "generation_output_format": "png",
            },
        ),
        _video_task(api),
    ]


def _video_task(api: Api) -> Task:
    models = [
        model
        for model in api.get("/v1/library/models")["models"]
        if model["model_type"] == "video" and len(model["model_supported_provider"]) > 1
    ]
    if not models:
        raise CliError("The library has no video model that two providers serve; the catalog was changed.")
    shortest = min(
        models, key=lambda model: (min(model["schema"]["generation_duration"]), model["model_identifier"])
    )
    body: dict[str, object] = {
        "generation_prompt": "A paper boat drifts down a rain gutter at dusk, slow tracking shot, warm street light",
        "generation_duration": min(shortest["schema"]["generation_duration"]),
        "generation_ratio": shortest["schema"]["generation_ratio"][0],
    }
    resolutions = shortest["schema"].get("generation_resolution")
    if resolutions:
        body["generation_resolution"] = min(resolutions, key=_lines)
    return Task("video", str(shortest["model_identifier"]), body)


def _lines(resolution: str) -> int:
    digits = "".join(character for character in resolution if character.isdigit())
    return int(digits or 0)


def show_one(running: Running, region: RunningRegion, api: Api, task: Task, folder: Path) -> Shown:
    """Makes one generation and gathers what it left: record, decoded files, money, ledger and trace.

    Raises:
        CliError: it did not succeed, a file does not decode, or the money does not add up.
    """
    before = api.balance()
    created = api.create(task.media, task.model, task.body)
    generation_id = str(created["generation_id"])
    record = api.wait(generation_id, _WAIT_SECONDS)
    if record["generation_status"] != "succeeded":
        raise CliError(
            f"The {task.media} in {region.name} {record['generation_status']}: "
            f"{record.get('generation_error', 'no reason given')} [{record.get('generation_error_code', '')}]."
        )
    after = api.balance()
    files = [
        _checked(api.download(url, folder / f"{region.name}-{task.media}{f'-{index + 1}' if index else ''}"))
        for index, url in enumerate(record["generation_output_file"])
    ]
    if not files:
        raise CliError(f"The {task.media} in {region.name} succeeded without a file.")
    with running.operator(region) as operator:
        entries = entries_of(operator, region.account_id, generation_id)
    price = captured_micros(entries)
    if micros(str(before)) - micros(str(after)) != price:
        raise CliError(
            f"The balance of {region.name} went from {before} to {after}, which is not the price of {price} micro-dollars."
        )
    trace = _complete_trace(running, generation_id)
    return Shown(
        {
            "generation_id": generation_id,
            "media": task.media,
            "model_identifier": task.model,
            "prompt": task.body["generation_prompt"],
            "status": record["generation_status"],
            "provider_order": record["generation_provider_order"],
            "provider_used": record["generation_provider_used"],
            "price_micros": price,
            "balance_before": before,
            "balance_after": after,
            "files": files,
            "ledger": [as_json(entry) for entry in entries],
            "trace": trace.as_json() if trace else None,
            "record": record,
        },
        trace,
    )


def _checked(path: Path) -> dict[str, object]:
    try:
        return {"path": str(path), **decode(path)}
    except Exception as error:
        raise CliError(f"The decoder refuses {path} ({type(error).__name__}).") from error


def _complete_trace(running: Running, generation_id: str) -> Trace | None:
    """The trace once no more spans arrive."""
    deadline = time.monotonic() + _TRACE_SECONDS
    found = find_trace(running.layout.traces, generation_id)
    steady_since = time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(0.15)
        again = find_trace(running.layout.traces, generation_id)
        if (again.count if again else 0) != (found.count if found else 0):
            steady_since = time.monotonic()
        elif again is not None and time.monotonic() - steady_since >= _STEADY_SECONDS:
            return again
        found = again
    return found
