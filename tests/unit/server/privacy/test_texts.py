"""Consent texts: words never change under their version, and old choices count as long as a version says so."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.notifications.catalog import TEMPLATES, Kind
from server.privacy.errors import PrivacyDataError
from server.privacy.texts import FOLDER, INDEX, NECESSARY_AT_SIGN_UP, load_purposes, purposes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the texts to change."""
    shutil.copytree(FOLDER, tmp_path / "consents")
    return tmp_path / "consents"


def add_version(folder: Path, purpose: str, version: str, accepts: str, words: str = "New words.\n") -> None:
    """Publishes a new version of a text."""
    (folder / f"{purpose}.{version}.en.md").write_text(words)
    entry = (
        f'\n[[purposes.{purpose}.versions]]\nversion = "{version}"\neffective_from = {version}T00:00:00Z\n'
        f'accepts = "{accepts}"\n'
        f'texts = [{{ locale = "en", title = "T", sha256 = "{hashlib.sha256(words.encode()).hexdigest()}" }}]\n'
    )
    index = folder / INDEX
    before, _, after = index.read_text().partition(f"[purposes.{purpose}]")
    own, mark, rest = after.partition("\n[purposes.")
    index.write_text(f"{before}[purposes.{purpose}]{own}{entry}{mark}{rest}")


def test_everything_that_is_not_necessary_at_sign_up_is_a_free_choice() -> None:
    assert {name for name, purpose in purposes().items() if purpose.necessary} == set(NECESSARY_AT_SIGN_UP)
    assert not any(purposes()[name].visitors for name in NECESSARY_AT_SIGN_UP)


def test_every_optional_letter_needs_consent_to_something_that_is_a_free_choice() -> None:
    for template in TEMPLATES.values():
        assert (template.kind is Kind.OPTIONAL) == (template.purpose is not None), template.name
        if template.purpose is not None:
            assert not purposes()[template.purpose].necessary, template.name


def test_a_text_that_changed_under_its_version_is_refused_by_name(folder: Path) -> None:
    assert load_purposes(folder) == purposes()
    for file in folder.glob("*.md"):
        words = file.read_text()
        file.write_text(words.replace(".", "!", 1))
        with pytest.raises(PrivacyDataError, match=f"{file.name}: has other words than its checksum says"):
            load_purposes(folder)
        file.unlink()
        with pytest.raises(PrivacyDataError, match=f"{file.name}: is missing"):
            load_purposes(folder)
        file.write_text(words)


def test_old_choices_count_until_a_version_asks_anew(folder: Path) -> None:
    add_version(folder, "marketing_email", "2027-01-01", accepts="2026-11-01")
    add_version(folder, "marketing_email", "2028-01-01", accepts="2028-01-01")
    purpose = load_purposes(folder)["marketing_email"]
    counted = {
        year: [
            each.version
            for each in purpose.versions
            if purpose.counts(each.version, datetime(year, 6, 1, tzinfo=UTC))
        ]
        for year in (2026, 2027, 2028)
    }
    assert counted == {
        2026: ["2026-11-01"],
        2027: ["2026-11-01", "2027-01-01"],
        2028: ["2028-01-01"],
    }
    # A version that was never published counts never, though it lies between two that do.
    assert not purpose.counts("2026-12-01", datetime(2027, 6, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('locale = "en"', 'locale = "fr"', 'needs each language once, and "en"'),
        ("T00:00:00Z", "T00:00:00", "needs a time zone"),
        ('version = "2026-11-01"', 'version = "2026-11-02"', "named after the day"),
        ('accepts = "2026-11-01"', 'accepts = "2026-11-02"', "accept only versions after itself"),
        ("necessary = true", "necessary = 'maybe'", "cannot be used"),
        ("visitors = false", "visitors = false\nsurprise = 1", "surprise extra inputs"),
        ("[purposes.dpa]", "[else]\n[purposes.dpa]", "nothing else"),
    ],
)
def test_an_index_that_cannot_be_right_is_refused(folder: Path, old: str, new: str, problem: str) -> None:
    index = folder / INDEX
    index.write_text(index.read_text().replace(old, new, 1))
    with pytest.raises(PrivacyDataError, match=problem):
        load_purposes(folder)


def test_versions_stand_in_their_order(folder: Path) -> None:
    add_version(folder, "dpa", "2026-10-01", accepts="2026-10-01")
    with pytest.raises(PrivacyDataError, match="oldest first"):
        load_purposes(folder)
