"""Generates the pages that are made from code: docs/configuration.md and docs/errors.md.

Usage: docs.py generate | check
`check` fails when a page is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic_core import PydanticUndefined

from kit.errors import all_specs
from kit.settings import Settings

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


PAGES = {"configuration.md": configuration, "errors.md": errors}


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
