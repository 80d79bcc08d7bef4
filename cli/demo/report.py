"""What the demo prints."""

from __future__ import annotations

from typing import Any

from cli import render
from cli.demo.scenario import Shown
from cli.trace_tree import draw
from kit.money import micros, show


def print_one(region: str, shown: Shown) -> None:
    """One generation: what was made, by whom, for how much, and where the time went."""
    record = shown.record
    render.say()
    render.say(render.styled(f"{region} · {record['media']} · {record['model_identifier']}", "bold"))
    order = " → ".join(record["provider_order"])
    before, after = (show(micros(str(record[name]))) for name in ("balance_before", "balance_after"))
    values = {
        "prompt": str(record["prompt"]),
        "generation": str(record["generation_id"]),
        "providers": f"{order}, used {record['provider_used']}",
        "price": show(record["price_micros"]),
        "balance": f"{before} before, {after} after",
    }
    for number, file in enumerate(record["files"]):
        values["file" if number == 0 else f"file {number + 1}"] = f"{file['path']}  ({_looks(file)})"
    for line in render.facts(values, indent="  "):
        render.say(line)
    render.say("  ledger")
    rows = [_ledger_row(entry) for entry in record["ledger"]]
    for line in render.table(
        rows, header=("version", "kind", "amount", "posted", "held", "hash"), indent="    "
    ):
        render.say(line)
    render.say("  trace")
    for line in draw(shown.trace) if shown.trace else ["none was found"]:
        render.say(f"    {line}")


def _ledger_row(entry: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(entry["version"]),
        entry["kind"],
        show(entry["amount_micros"]),
        show(entry["posted_after_micros"]),
        show(entry["held_after_micros"]),
        entry["hash"][:16],
    )


def _looks(file: dict[str, Any]) -> str:
    size = f"{file['format']}, {file['width']} by {file['height']}, {file['bytes'] / 1000:.0f} kB"
    return f"{size}, {file['frames']} frames, {file['seconds']:.1f} s" if file["seconds"] else size
