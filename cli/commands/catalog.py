"""`babysea catalog check`: whether the models, prices and providers of a catalog are sound."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cli import render
from cli.commands.declare import Subparsers, add
from cli.errors import Exit

if TYPE_CHECKING:
    from server.catalog.check import CatalogReport
    from server.catalog.types import Catalog


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the command."""
    catalog = add(commands, everywhere, "catalog", "check the models, prices and providers")
    verbs = catalog.add_subparsers(title="verbs", metavar="VERB", required=True)
    check = add(
        verbs,
        everywhere,
        "check",
        "load the whole catalog and check it",
        "Load every file of the catalog and check it as a whole: each value of a model has a word at its providers and "
        "is served by one of them, no price is below what a provider bills, and every provider stack of the public "
        "contract has a model. Exit code 1 with one sentence about the first thing that is wrong.",
    )
    check.add_argument(
        "--catalog-dir",
        type=Path,
        metavar="DIR",
        help="folder whose files replace the built-in ones of the same name "
        "(default: BABYSEA_CATALOG_DIR, or none)",
    )
    check.set_defaults(run=command)


def command(asked: argparse.Namespace) -> int:
    """Checks the catalog and prints what it holds."""
    from server.catalog import load_catalog
    from server.catalog.check import check_catalog

    folder = asked.catalog_dir or os.environ.get("BABYSEA_CATALOG_DIR") or None
    catalog = load_catalog(Path(folder) if folder else None)
    report = check_catalog(catalog)
    if asked.json:
        render.say_json(_facts(catalog, report))
        return Exit.OK
    for line in _lines(catalog, report):
        render.say(line)
    return Exit.OK


def _facts(catalog: Catalog, report: CatalogReport) -> dict[str, object]:
    return {
        "models": {name: list(model.provider_ids) for name, model in catalog.models.items()},
        "providers": {name: len(catalog.models_of(name)) for name in catalog.providers},
        "stacks": report.stacks,
        "price_kinds": report.price_kinds,
        "warnings": list(report.warnings),
    }


def _lines(catalog: Catalog, report: CatalogReport) -> list[str]:
    from server.catalog.check import price_kind

    models = [
        (name, model.media, ", ".join(model.provider_ids), price_kind(model))
        for name, model in catalog.models.items()
    ]
    lines = [*render.table(models, ("model", "media", "stack", "price")), ""]
    providers = [
        (
            name,
            *(
                str(sum(model.media == media for model in catalog.models_of(name)))
                for media in ("image", "video")
            ),
        )
        for name in catalog.providers
    ]
    lines += [*render.table(providers, ("provider", "image", "video")), ""]
    lines += [
        *render.table([(name, str(count)) for name, count in report.stacks.items()], ("stack", "models")),
        "",
    ]
    lines += [
        *render.table([(name, str(n)) for name, n in report.price_kinds.items()], ("price", "models")),
        "",
    ]
    lines += [f"{render.styled('note', 'yellow')}  {warning}" for warning in report.warnings]
    counted = f"{len(catalog.models)} models, {len(catalog.providers)} providers, {len(report.stacks)} stacks"
    return [*lines, f"{render.styled('sound', 'green')}  {counted}"]
