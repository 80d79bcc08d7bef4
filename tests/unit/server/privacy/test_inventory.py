"""The inventory's loader: what cannot be right is refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from server.privacy.errors import PrivacyDataError
from server.privacy.inventory import FOLDER, load_inventory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the inventory to change."""
    shutil.copytree(FOLDER, tmp_path / "inventory")
    return tmp_path / "inventory"


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("keys.toml", "none.hash =", "none.name = 'id'\nnone.hash =", "keys.api_key.*name is declared twice"),
        ("keys.toml", 'retention = "account"', 'retention = "ever"', 'unknown retention "ever"'),
        ("keys.toml", 'retention = "account"', "", "keys.api_key.retention Field required"),
        ("keys.toml", 'retention = "account"', 'retention = "books"', "must have an end"),
        ("keys.toml", 'purpose = "account"', 'purpose = "fun"', 'unknown purpose "fun"'),
        (
            "keys.toml",
            'protection = "plain"',
            'protection = "rot13"',
            "keys.api_key.personal.name.protection",
        ),
        ("keys.toml", ", why =", ", because =", "keys.api_key.personal.name"),
        ("keys.toml", 'protection = "plain"', 'protection = "one_way"', "a plain column, and no other"),
        ("keys.toml", "[tables.", "[tabels.", "tabels must be one of"),
        ("keys.toml", "[tables.api_key]", "[tables.api_key", "is not TOML"),
        ("rules.toml", 'category = "ledger"', "", "a plan's retention, and no other, has a category"),
        ("rules.toml", "days = 1095", "", "have a number of days"),
    ],
)
def test_an_inventory_that_cannot_be_right_is_refused(
    folder: Path, file: str, old: str, new: str, problem: str
) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    with pytest.raises(PrivacyDataError, match=problem):
        load_inventory(folder)


def test_a_table_is_declared_in_one_file_only(folder: Path) -> None:
    (folder / "other.toml").write_text('[caches."babysea:limit:*"]\n')
    with pytest.raises(PrivacyDataError, match="is declared twice"):
        load_inventory(folder)
