"""The inventory of personal data, typed: every table with its retention, every column that holds something of somebody.

The data are TOML files in data/inventory: rules.toml (what for, how long), one file a schema, and stores.toml (what is kept
outside of the databases). A test holds them against a migrated database.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from server.privacy.errors import PrivacyDataError

FOLDER = Path(__file__).resolve().parent / "data" / "inventory"

Sentence = Annotated[str, Field(min_length=10, max_length=400, pattern=r"\.$")]
Subject = Literal["person", "customer", "end_user", "visitor"]
"""Whose: a signed-in person, the customer as an account, whoever a customer's content is about, or a visitor."""
Basis = Literal["contract", "legal_obligation", "legitimate_interest", "consent", "instructions"]
Protection = Literal["person_key", "account_key", "row_key", "keyed_hash", "one_way", "pseudonym", "plain"]
SEALED: frozenset[Protection] = frozenset({"person_key", "account_key", "row_key"})
"""Protections that leave ciphertext only."""
Erasure = Literal["row", "key", "retention", "kept"]
"""What an erasure does: removes the row, makes it unreadable with its key, leaves it to its retention, or keeps it by law."""
NoPersonal = Literal["id", "word", "hash", "version", "ours", "provider", "place", "wrapped_key"]
"""Why a column holds nothing of anybody: a random id, one word of a fixed set, a hash of nothing personal, a version, text
that only our programs write, a provider's word about a job, a place in storage, a key that is itself encrypted."""
Category = Literal["output_files", "records", "api_logs", "webhook_logs", "activity", "ledger"]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Purpose(_Data):
    """What personal data is used for."""

    about: Sentence
    basis: Basis


class Retention(_Data):
    """How long something is kept."""

    about: Sentence
    kind: Literal["plan", "days", "with_person", "with_account", "law", "in_use", "lasting"]
    """By plan and category; so many days; as long as the person or the account; so long after it by law; as long as the work
    that it belongs to; or always, which nothing of a person may be."""
    category: Category | None = None
    days: float | None = Field(default=None, gt=0)
    enforced_by: str = ""
    """What removes it; empty while nothing does."""

    @model_validator(mode="after")
    def _complete(self) -> Retention:
        if (self.kind == "plan") != (self.category is not None):
            raise ValueError("a plan's retention, and no other, has a category")
        if (self.kind in {"days", "law"}) != (self.days is not None):
            raise ValueError("days and law, and no other, have a number of days")
        return self


class PersonalColumn(_Data):
    """A column that holds personal data, or may."""

    subject: Subject
    purpose: str
    protection: Protection
    why: str = ""
    """Why it is neither sealed nor hashed; required for "plain"."""
    export: bool = True
    """Whether the data export shows it, where its table is exported at all."""

    @model_validator(mode="after")
    def _explained(self) -> PersonalColumn:
        if (self.protection == "plain") != bool(self.why):
            raise ValueError("a plain column, and no other, says why it is plain")
        return self


class Table(_Data):
    """A table and what of it is personal."""

    about: Sentence
    retention: str
    erasure: Erasure
    export: str = ""
    """Part of the data export that shows it; empty when it is not exported."""
    personal: Mapping[str, PersonalColumn] = {}
    none: Mapping[str, NoPersonal] = {}
    """Columns that could hold text and hold nothing of anybody, with the reason."""

    @model_validator(mode="after")
    def _declared_once(self) -> Table:
        twice = set(self.personal) & set(self.none)
        if twice:
            raise ValueError(f"{', '.join(sorted(twice))} is declared twice")
        return self


class Store(_Data):
    """Something that is kept outside of the databases: a cache key, a folder, a topic."""

    about: Sentence
    retention: str
    holds: Sentence
    personal: bool
    """Whether personal data may stand in it readable."""


class Inventory(_Data):
    """Everything that is declared."""

    purposes: Mapping[str, Purpose]
    retentions: Mapping[str, Retention]
    tables: Mapping[str, Table]
    """By schema and name; "vault." are those of the vault database."""
    caches: Mapping[str, Store]
    """By pattern of the key."""
    folders: Mapping[str, Store]
    """By place below the data folder."""
    topics: Mapping[str, Store]
    """By name."""


def load_inventory(folder: Path = FOLDER) -> Inventory:
    """The inventory in a folder.

    Raises:
        PrivacyDataError: a file is malformed, or names a purpose or a retention that does not exist.
    """
    merged: dict[str, dict[str, Any]] = {name: {} for name in Inventory.model_fields}
    for path in sorted(folder.glob("*.toml")):
        for section, entries in _read(path).items():
            _merge(merged, path.name, section, entries)
    try:
        inventory = Inventory.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PrivacyDataError(folder.name, place, first["msg"]) from error
    _check_names(folder.name, inventory)
    return inventory


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise PrivacyDataError(path.name, "", f"is not TOML: {error}") from error


def _merge(merged: dict[str, dict[str, Any]], file: str, section: str, entries: dict[str, Any]) -> None:
    # A file of a schema holds its tables by their own names.
    if section not in merged:
        raise PrivacyDataError(file, section, f"must be one of {', '.join(merged)}")
    prefix = f"{file.removesuffix('.toml')}." if section == "tables" else ""
    for name, entry in entries.items():
        if prefix + name in merged[section]:
            raise PrivacyDataError(file, name, "is declared twice")
        merged[section][prefix + name] = entry


def _check_names(file: str, inventory: Inventory) -> None:
    used: dict[str, Table | Store] = {
        **inventory.tables,
        **inventory.caches,
        **inventory.folders,
        **inventory.topics,
    }
    for name, each in used.items():
        if each.retention not in inventory.retentions:
            raise PrivacyDataError(file, name, f'has the unknown retention "{each.retention}"')
        lasting = inventory.retentions[each.retention].kind == "lasting"
        if lasting and each.personal:
            raise PrivacyDataError(file, name, "holds something of people and must have an end")
    for name, table in inventory.tables.items():
        for column, declared in table.personal.items():
            if declared.purpose not in inventory.purposes:
                raise PrivacyDataError(
                    file, f"{name}.{column}", f'has the unknown purpose "{declared.purpose}"'
                )
