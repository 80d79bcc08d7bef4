"""`babysea generate MODEL PROMPT`: makes a picture or a video and stores its files."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import render
from cli.commands.declare import Subparsers, add
from cli.errors import CliError, Exit
from cli.supervisor.layout import REGIONS

if TYPE_CHECKING:
    from cli.rest import Api
    from cli.running import Running, RunningRegion

# Seconds in which work of each kind is usually done; they only shape the progress bar.
_USUAL_SECONDS = {"image": 3.0, "video": 8.0}


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the command."""
    generate = add(
        commands,
        everywhere,
        "generate",
        "make a picture or a video",
        "Make a picture or a video through the public REST API, wait for it and store its files. It uses the bootstrap "
        "account of the running stack, or BABYSEA_API_KEY with BABYSEA_API_URL.",
    )
    generate.add_argument("model", metavar="MODEL", help="for example bfl/flux-schnell")
    generate.add_argument("prompt", metavar="PROMPT", help="what to make")
    generate.add_argument(
        "--region", choices=REGIONS, help="region that makes it (default: the first that runs)"
    )
    generate.add_argument("--ratio", metavar="16:9", help="aspect ratio (default: the model's)")
    generate.add_argument("--format", metavar="png", help="file format (default: the model's)")
    generate.add_argument("--number", type=int, metavar="N", help="pictures to make (default: 1)")
    generate.add_argument(
        "--duration", type=float, metavar="SECONDS", help="length of a video (default: the shortest)"
    )
    generate.add_argument("--resolution", metavar="720p", help="of a video (default: the model's)")
    generate.add_argument("--audio", action="store_true", help="make a video's sound, too")
    generate.add_argument("--providers", metavar="ORDER", help='"fastest", or provider ids joined by commas')
    generate.add_argument("--key", metavar="IDEMPOTENCY", help="Idempotency-Key (default: a random one)")
    generate.add_argument(
        "--timeout", type=float, default=600.0, metavar="SECONDS", help="longest wait (default: 600)"
    )
    generate.add_argument(
        "--output",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder for the files (default: the current one)",
    )
    generate.set_defaults(run=command)


def command(asked: argparse.Namespace) -> int:
    """Creates, waits, downloads, and says what it cost."""
    from cli.rest import Api
    from kit.money import micros, show

    running, region = _find(asked)
    url, key = (
        (region.api, region.api_key)
        if region
        else (os.environ["BABYSEA_API_URL"], os.environ["BABYSEA_API_KEY"])
    )
    _prepare(asked.output)
    with Api(url, key) as api:
        model = api.model(asked.model)
        media = str(model["model_type"])
        body = _body(asked, media, model)
        record = _make(api, asked, media, body)
        generation_id = str(record["generation_id"])
        if record["generation_status"] != "succeeded":
            reason = record.get("generation_error") or "it was canceled"
            code = record.get("generation_error_code")
            raise CliError(
                f"The generation {generation_id} {record['generation_status']}: {str(reason).rstrip('.')}"
                f"{f' [{code}]' if code else ''}; it was not charged."
            )
        files = [
            api.download(
                url, asked.output / (generation_id if index == 0 else f"{generation_id}-{index + 1}")
            )
            for index, url in enumerate(record["generation_output_file"])
        ]
        price = _charged(running, region, generation_id)
        if price is None:
            price = micros(str(_estimate(api, asked, model, body)))
    if asked.json:
        render.say_json({**record, "files": [str(path) for path in files], "charged_micros": price})
        return Exit.OK
    for path in files:
        render.say(str(path))
    render.say(
        f"{render.styled(show(price), 'bold')} charged, made by {record.get('generation_provider_used')}."
    )
    if running is not None:
        render.note(f"Where the time went: babysea trace {generation_id}")
    return Exit.OK


def _find(asked: argparse.Namespace) -> tuple[Running | None, RunningRegion | None]:
    """The local stack and region to use; neither when the environment names another API."""
    if os.environ.get("BABYSEA_API_URL") and os.environ.get("BABYSEA_API_KEY"):
        return None, None
    from cli.running import find

    running = find(asked.data_dir)
    return running, running.region(asked.region)


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CliError(
            f"Cannot use {folder} ({error.strerror}); choose another folder with --output."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CliError(f"Cannot write to {folder}; choose another folder with --output.")


def _body(asked: argparse.Namespace, media: str, model: dict[str, Any]) -> dict[str, object]:
    duration = asked.duration
    if media == "video" and duration is None:
        duration = min(model["schema"].get("generation_duration") or [5])
    wanted = {
        "generation_prompt": asked.prompt,
        "generation_ratio": asked.ratio,
        "generation_output_format": asked.format,
        "generation_output_number": asked.number,
        "generation_duration": duration,
        "generation_resolution": asked.resolution,
        "generation_generate_audio": True if asked.audio else None,
        "generation_provider_order": asked.providers,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _make(api: Api, asked: argparse.Namespace, media: str, body: dict[str, object]) -> dict[str, Any]:
    import math
    import time

    created = api.create(media, asked.model, body, asked.key)
    generation_id = str(created["generation_id"])
    progress = render.Progress(quiet=asked.json)
    began = time.monotonic()

    def on_state(state: str) -> None:
        # Nobody knows how long it takes: the bar comes closer to its end for ever and reaches it only when done.
        share = 1 - math.exp(-(time.monotonic() - began) / _USUAL_SECONDS.get(media, 5.0))
        progress.show(state, 0.05 if state == "pending" else share)

    try:
        return api.wait(generation_id, asked.timeout, on_state)
    except KeyboardInterrupt:
        progress.done()
        render.note(f"The generation {generation_id} goes on.")
        raise
    finally:
        progress.done()


def _charged(running: Running | None, region: RunningRegion | None, generation_id: str) -> int | None:
    """What the ledger says was captured; None where we may not read the ledger."""
    if running is None or region is None:
        return None
    from cli.ledger_entries import captured_micros, entries_of

    with running.operator(region) as operator:
        return captured_micros(entries_of(operator, region.account_id, generation_id))


def _estimate(api: Api, asked: argparse.Namespace, model: dict[str, Any], body: dict[str, object]) -> object:
    query = {"count": str(asked.number or 1)}
    if model["model_type"] == "video":
        query["duration"] = str(body["generation_duration"])
        query["audio"] = "true" if asked.audio else "false"
        if asked.resolution:
            query["resolution"] = asked.resolution
    return api.get(f"/v1/estimate/{asked.model}", query)["cost_total_consumed"]
