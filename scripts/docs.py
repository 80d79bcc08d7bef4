"""Generates the pages that are made from code: docs/configuration.md, errors.md, cli.md, personal-data.md and models.md.

Usage: docs.py generate | check
`check` fails when a page is stale.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic_core import PydanticUndefined

from cli.main import parser
from kit.errors import all_specs
from kit.settings import Settings
from scripts.models_page import models
from server.privacy.inventory import Inventory, PersonalColumn, Store, Table, load_inventory

DOCS = Path(__file__).resolve().parent.parent / "docs"


def configuration() -> str:
    """Every setting, from the settings class."""
    lines = [
        "# Configuration",
        "",
        "Made by `make docs` from `kit/settings.py`. Every program reads these environment variables; `babysea up` sets",
        "them for the processes that it starts.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = (
            ""
            if default is PydanticUndefined
            else str(getattr(default, "get_secret_value", lambda d=default: d)())
        )
        description = (field.description or "").replace("|", "\\|")
        lines.append(
            f"| `BABYSEA_{name.upper()}` | {f'`{shown}`' if shown not in {'', 'None'} else 'none'} | {description} |"
        )
    return "\n".join(lines) + "\n"


def errors() -> str:
    """Every error, from the contract."""
    lines = [
        "# Errors",
        "",
        "Made by `make docs` from `proto/babysea/common/v1/error_reason.proto`. REST answers carry the code and type, gRPC",
        "answers a `google.rpc.ErrorInfo` with the reason and the domain `babysea.ai`. Decide by *retryable*, not by status.",
        "BSE4xxx occur only inside generation records.",
        "",
        "| code | type | HTTP | gRPC | reason | retryable | default sentence |",
        "|---|---|---|---|---|---|---|",
    ]
    for spec in all_specs():
        retry = "yes" if spec.retryable else "no"
        lines.append(
            f"| {spec.bse_code} | {spec.type} | {spec.http_status} | {spec.grpc_code} | {spec.name} | {retry} | {spec.title} |"
        )
    return "\n".join(lines) + "\n"


def command_line() -> str:
    """Every command and option, from the parser of `babysea`."""
    root = parser()
    lines = [
        "# Command line",
        "",
        "Made by `make docs` from the parser of `babysea`. `babysea COMMAND --help` says the same.",
        "",
        "```text",
        *(root.epilog or "").strip().splitlines(),
        "```",
        "",
        "## Options of every command",
        "",
        *_table(root),
    ]
    everywhere = {option for action in _own(root) for option in action.option_strings}
    for name, summary, command in _commands(root):
        lines += _command(name, summary, command, everywhere, depth=2)
    return "\n".join(lines) + "\n"


def _command(
    name: str, summary: str, command: argparse.ArgumentParser, everywhere: set[str], depth: int
) -> list[str]:
    lines = ["", f"{'#' * depth} `babysea {name}`", "", _text(command.description) or summary, ""]
    table = _table(command, everywhere)
    if table:
        lines += table
    if command.epilog:
        lines += ["", _text(command.epilog)]
    while lines[-1] == "":
        lines.pop()
    for inner, inner_summary, inner_command in _commands(command):
        lines += _command(f"{name} {inner}", inner_summary, inner_command, everywhere, depth + 1)
    return lines


def _commands(of: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    for group in of._actions:
        if isinstance(group, argparse._SubParsersAction):
            summaries = {choice.dest: choice.help or "" for choice in group._choices_actions}
            for name, command in group.choices.items():
                yield name, summaries.get(name, ""), command


def _own(of: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in of._actions:
        hidden = action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction)
        if not hidden and not isinstance(action, argparse._SubParsersAction):
            yield action


def _table(of: argparse.ArgumentParser, without: set[str] | None = None) -> list[str]:
    rows = [
        f"| {_called(action)} | {_cell(of, action)} |"
        for action in _own(of)
        if not set(action.option_strings) & (without or set())
    ]
    return ["| argument | meaning |", "|---|---|", *rows] if rows else []


def _called(action: argparse.Action) -> str:
    value = ""
    if action.nargs != 0:
        if isinstance(action.metavar, str):
            value = action.metavar
        elif action.choices is not None:
            value = "{" + ",".join(str(choice) for choice in action.choices) + "}"
        else:
            value = action.dest.upper()
    shown = " ".join([", ".join(action.option_strings), f"[{value}]" if action.nargs == "?" else value])
    return f"`{shown.strip()}`".replace("|", "\\|")


def _cell(of: argparse.ArgumentParser, action: argparse.Action) -> str:
    # argparse writes defaults and the like into its help by %-formatting.
    facts = {**vars(action), "prog": of.prog}
    meaning = _text((action.help or "") % facts).replace("|", "\\|")
    return f"{meaning} **Required.**".strip() if action.required and action.option_strings else meaning


def personal_data() -> str:
    """What is kept of people, from the inventory."""
    inventory = load_inventory()
    lines = [
        "# Personal data",
        "",
        "Made by `make docs` from `server/privacy/data/inventory/`; a test holds it against a migrated database. A column that is",
        "not named here holds an id, a number, a time or a word of ours.",
        "",
        "* **Subject**: `person` signs in; `customer` is the account; `end_user` is whoever a customer's content is about;",
        "  `visitor` has not signed in.",
        "* **Protection**: sealed with AES-256-GCM under the data key of the person (`person_key`), of the account",
        "  (`account_key`) or of whatever the row names (`row_key`); `keyed_hash` compares without reading; `one_way` is a",
        "  password hash; `pseudonym` is a random id; `plain` is readable, and says why.",
        "* **Erasure**: `row` removes it; `key` destroys the key that opens it; `retention` leaves it to its time; `kept` keeps",
        "  it, without a way back to the person where a keyed hash or an id is all that there is.",
        "",
        "## Purposes",
        "",
        "| purpose | what for | lawful basis |",
        "|---|---|---|",
        *(f"| {name} | {each.about} | {each.basis} |" for name, each in inventory.purposes.items()),
        "",
        "## Retention",
        "",
        "| retention | how long | removed by |",
        "|---|---|---|",
        *(
            f"| {name} | {each.about} | {_code(each.enforced_by) or 'nothing yet'} |"
            if each.kind != "lasting"
            else f"| {name} | {each.about} | |"
            for name, each in inventory.retentions.items()
        ),
        "",
        "## Tables",
        "",
        "| table | what | retention | erasure | data export |",
        "|---|---|---|---|---|",
        *(
            f"| `{name}` | {each.about} | {each.retention} | {each.erasure} | {each.export} |"
            for name, each in sorted(inventory.tables.items())
        ),
        "",
        "## Personal columns",
        "",
        "| column | subject | purpose | protection | exported |",
        "|---|---|---|---|---|",
        *_personal_columns(inventory),
        "",
        "## Readable, and why",
        "",
        *(f"* `{name}`: {each.why}" for name, _, each in _columns(inventory) if each.why),
    ]
    for title, stores in (
        ("Cache keys", inventory.caches),
        ("Folders", inventory.folders),
        ("Topics", inventory.topics),
    ):
        lines += _stores(title, stores)
    return "\n".join(lines) + "\n"


def _columns(inventory: Inventory) -> Iterator[tuple[str, Table, PersonalColumn]]:
    for name, table in sorted(inventory.tables.items()):
        for column, personal in table.personal.items():
            yield f"{name}.{column}", table, personal


def _personal_columns(inventory: Inventory) -> Iterator[str]:
    for name, table, each in _columns(inventory):
        exported = "yes" if table.export and each.export else "no"
        yield f"| `{name}` | {each.subject} | {each.purpose} | {each.protection} | {exported} |"


def _stores(title: str, stores: Mapping[str, Store]) -> list[str]:
    if not stores:
        return ["", f"## {title}", "", "There are none."]
    rows = [
        f"| `{name}` | {each.about} | {each.holds} | {'yes' if each.personal else 'no'} | {each.retention} |"
        for name, each in stores.items()
    ]
    return [
        "",
        f"## {title}",
        "",
        "| where | what | holds | personal data | retention |",
        "|---|---|---|---|---|",
        *rows,
    ]


def _code(text: str) -> str:
    return re.sub(r"\b[a-z]+\.[a-z_]+\b", lambda found: f"`{found[0]}`", text)


def _text(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").strip()


PAGES = {
    "configuration.md": configuration,
    "errors.md": errors,
    "cli.md": command_line,
    "personal-data.md": personal_data,
    "models.md": models,
}


def main() -> None:
    """Runs the verb named on the command line."""
    verb = sys.argv[1] if len(sys.argv) == 2 else ""
    if verb == "generate":
        for name, page in PAGES.items():
            (DOCS / name).write_text(page())
    elif verb == "check":
        stale = [
            name
            for name, page in PAGES.items()
            if not (DOCS / name).is_file() or (DOCS / name).read_text() != page()
        ]
        if stale:
            sys.exit(f"docs/ is stale, run `make docs`: {', '.join(stale)}")
        print("docs: generated pages are fresh")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
