"""Rendering: what a letter says, as a subject, as text and as HTML. Templates are files, and no template runs code."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

from server.notifications.catalog import TEMPLATES

FOLDER = Path(__file__).resolve().parent / "templates"
"""One folder per template, one per version in it: subject.txt, body.txt and body.html."""
COMMON = frozenset({"dashboard", "region", "when"})
"""Values that every template may use besides its own."""
_WRITTEN_BY_PEOPLE = frozenset({"account", "device", "inviter", "key_name", "owner", "team"})
_LONGEST = 100
# Names of hosts are divided by more than the plain full stop.
_LINK_DOT = re.compile("[.\u2024\u3002\uff0e\uff61](?=[^\\W\\d_])")


class UnknownTemplateError(Exception):
    """No template of this name and version is here; another version of this program may have it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a letter says."""

    subject: str
    text: str
    html: str


class Renderer:
    """Renders the letters of one region."""

    def __init__(self, dashboard: str, region: str) -> None:
        """Takes the base URL of the region's pages, to which every link leads, and the region's name."""
        self._common = {"dashboard": dashboard.rstrip("/"), "region": region}
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(FOLDER),
            undefined=StrictUndefined,
            autoescape=lambda name: name is not None and name.endswith(".html"),
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, name: str, version: int, values: Mapping[str, str], when: datetime) -> Rendered:
        """A letter's words; `when` is the time of what it tells.

        Raises:
            UnknownTemplateError: there is no such template here.
            ValueError: the values are not exactly those that the template declares.
        """
        template = TEMPLATES.get(name)
        if template is None:
            raise UnknownTemplateError(name)
        if frozenset(values) != template.variables:
            raise ValueError(f"{name} did not bring exactly the values that it declares")
        shown = {
            key: harmless(value) if key in _WRITTEN_BY_PEOPLE else value for key, value in values.items()
        }
        everything = {**shown, **self._common, "when": f"{when:%Y-%m-%d %H:%M} UTC"}
        try:
            subject, text, html = (
                self._environment.get_template(f"{name}/{version}/{part}").render(everything)
                for part in ("subject.txt", "body.txt", "body.html")
            )
        except TemplateNotFound as error:
            raise UnknownTemplateError(name) from error
        return Rendered(" ".join(subject.split()), text, html)


def harmless(text: str) -> str:
    """What a person wrote, for the eyes of another: one short line that no mail program turns into a link.

    A team's name reaches strangers by an invitation, so it must not be a way to send them somebody's own link.
    """
    kept = "".join(each for each in text if unicodedata.category(each)[0] != "C" or each in "\t\n")
    line = _LINK_DOT.sub(r"\g<0> ", " ".join(kept.split())).replace("://", ": //").replace("@", " at ")
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
