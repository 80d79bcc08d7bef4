"""Consent texts: versioned data files, whose words never change under their version."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.privacy.errors import PrivacyDataError

FOLDER = Path(__file__).resolve().parent / "data" / "consents"
INDEX = "consents.toml"
DEFAULT_LOCALE = "en"
"""The language that prevails, and that every text has."""

NECESSARY_AT_SIGN_UP = ("terms_of_use", "privacy_policy", "dpa")
"""Purposes without which nobody opens an account."""

Version = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(_Data):
    """A version of a text in one language."""

    locale: str = Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")
    title: str = Field(min_length=1, max_length=100)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    content: str = ""
    """Markdown; read from the file beside the index."""


class TextVersion(_Data):
    """A version of a text in all its languages."""

    version: Version
    effective_from: datetime
    accepts: Version
    """Choices about this version and all between still count while this one holds."""
    texts: tuple[Text, ...] = Field(min_length=1)

    def text(self, locale: str) -> Text:
        """The text in a language, or else in the one that prevails."""
        in_default = next(text for text in self.texts if text.locale == DEFAULT_LOCALE)
        return next((text for text in self.texts if text.locale == locale), in_default)


class Purpose(_Data):
    """Something that people agree to, or do not."""

    about: str
    necessary: bool
    """Whether nobody can have an account without it; what is not necessary is not granted before somebody says so."""
    visitors: bool
    """Whether a visitor who has not signed in may choose."""
    versions: tuple[TextVersion, ...] = Field(min_length=1)
    """Oldest first."""

    def current(self, at: datetime) -> TextVersion:
        """The version that holds at a time; the first one before there was any."""
        held = [version for version in self.versions if version.effective_from <= at]
        return held[-1] if held else self.versions[0]

    def counts(self, version: str, at: datetime) -> bool:
        """Whether a choice about a version still counts at a time."""
        current = self.current(at)
        known = {each.version for each in self.versions}
        return version in known and current.accepts <= version <= current.version


Purposes = Mapping[str, Purpose]


@cache
def purposes() -> Purposes:
    """The purposes of this program by name, read at the first call.

    Raises:
        PrivacyDataError: a data file cannot be used.
    """
    return load_purposes(FOLDER)


def load_purposes(folder: Path) -> Purposes:
    """The purposes in a folder, with their texts.

    Raises:
        PrivacyDataError: the index is malformed, a text is missing, or one is not what its checksum says.
    """
    try:
        raw = tomllib.loads((folder / INDEX).read_text())
        table = raw.pop("purposes")
        found = {str(name): Purpose.model_validate(value) for name, value in table.items()}
    except (KeyError, OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise PrivacyDataError(INDEX, "", f"cannot be used: {_first_line(error)}") from error
    if raw or not found:
        raise PrivacyDataError(INDEX, "", "must hold [purposes.…] and nothing else")
    return {name: _with_texts(folder, name, purpose) for name, purpose in found.items()}


def _with_texts(folder: Path, name: str, purpose: Purpose) -> Purpose:
    _check_order(name, purpose)
    versions = [
        version.model_copy(
            update={"texts": tuple(_read(folder, name, version.version, text) for text in version.texts)}
        )
        for version in purpose.versions
    ]
    return purpose.model_copy(update={"versions": tuple(versions)})


def _check_order(name: str, purpose: Purpose) -> None:
    for version in purpose.versions:
        place = f"{name} {version.version}"
        locales = [text.locale for text in version.texts]
        if DEFAULT_LOCALE not in locales or len(set(locales)) != len(locales):
            raise PrivacyDataError(INDEX, place, f'needs each language once, and "{DEFAULT_LOCALE}"')
        if version.effective_from.tzinfo is None:
            raise PrivacyDataError(INDEX, place, "needs a time zone in effective_from")
        if version.effective_from.astimezone(UTC).date().isoformat() != version.version:
            raise PrivacyDataError(INDEX, place, "must be named after the day of its effective_from")
        if version.accepts > version.version:
            raise PrivacyDataError(INDEX, place, "cannot accept only versions after itself")
    names = [version.version for version in purpose.versions]
    if names != sorted(set(names)):
        raise PrivacyDataError(INDEX, name, "must list its versions once each, oldest first")


def _read(folder: Path, name: str, version: str, text: Text) -> Text:
    file = f"{name}.{version}.{text.locale}.md"
    try:
        content = (folder / file).read_bytes()
    except OSError as error:
        raise PrivacyDataError(file, "", f"is missing; {INDEX} names it") from error
    if hashlib.sha256(content).hexdigest() != text.sha256:
        raise PrivacyDataError(
            file, "", "has other words than its checksum says; put new words under a new version"
        )
    return text.model_copy(update={"content": content.decode()})


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])} {first['msg'].lower()}"
    return type(error).__name__
