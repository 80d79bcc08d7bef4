"""The inventory of personal data and the databases say the same: nothing that could hold a word is left undeclared."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

import server
from cli.supervisor.layout import Layout
from server.catalog.types import Retention as PlanRetention
from server.privacy.inventory import SEALED, Inventory, Store, Table, load_inventory
from tests.support.region import TestRegion

# Types in which nobody's words, addresses or files fit. Every other type must be declared, new ones too.
HARMLESS = {"uuid", "uuid[]", "boolean", "smallint", "integer", "bigint", "bigint[]", "numeric", "xid8"}
HARMLESS |= {"double precision", "date", "interval", "timestamp with time zone"}
NAMES_A_PERSON = re.compile(r"person|owner|actor|member|_by$")
SERVER = Path(server.__file__).resolve().parent
IN_CLEAR = {
    "accounts.account.slug",
    "keys.api_key.name",
    "keys.api_key.allowlist",
    "logs.request.user_agent",
}
"""The only columns in which something of somebody stands readable; each says why. A new one is a decision."""

_COLUMNS = """
    select n.nspname || '.' || c.relname as name, a.attname as column, format_type(a.atttypid, null) as type, t.typtype
      from pg_attribute a
      join pg_class c on c.oid = a.attrelid
      join pg_namespace n on n.oid = c.relnamespace
      join pg_type t on t.oid = a.atttypid
     where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'public')
       and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and a.attnum > 0 and not a.attisdropped
"""


@dataclass(frozen=True)
class Column:
    """A column as the catalogue knows it."""

    table: str
    name: str
    type: str
    harmless: bool

    @property
    def names_a_person(self) -> bool:
        """Whether it is an id of somebody."""
        return self.type == "uuid" and NAMES_A_PERSON.search(self.name) is not None

    @property
    def whole(self) -> str:
        """With its table."""
        return f"{self.table}.{self.name}"


async def columns_of(connection: asyncpg.Connection) -> list[Column]:
    """Every column of our schemas; a partition's are its parent's."""
    return [
        # An enum's words stand in its definition, so none of them is anybody's.
        Column(
            row["name"], row["column"], row["type"], row["type"] in HARMLESS or row["typtype"] in {b"e", "e"}
        )
        for row in await connection.fetch(_COLUMNS)
    ]


async def both_databases(region: TestRegion) -> list[Column]:
    """The columns of the main and the vault database."""
    main = await region.connect()
    vault = await asyncpg.connect(region.database.cluster.url(region.database.vault))
    try:
        return [*await columns_of(main), *await columns_of(vault)]
    finally:
        await main.close()
        await vault.close()


def problems(inventory: Inventory, columns: Iterable[Column]) -> list[str]:
    """Where inventory and database disagree, one sentence each."""
    found: list[str] = []
    known = {column.whole: column for column in columns}
    tables = {column.table for column in known.values()}
    found += [f"{name} is not declared" for name in sorted(tables - set(inventory.tables))]
    found += [f"{name} does not exist" for name in sorted(set(inventory.tables) - tables)]
    declared: set[str] = set()
    for name, table in inventory.tables.items():
        for column, personal in table.personal.items():
            whole = f"{name}.{column}"
            declared.add(whole)
            kind = known[whole].type if whole in known else None
            fits = {
                "keyed_hash": kind == "bytea",
                "pseudonym": kind == "uuid",
                "plain": kind in {"text", "text[]"},
                "one_way": kind == "text",
            }.get(personal.protection, kind == "bytea")
            if kind is not None and not fits:
                found.append(f"{whole} is {kind} and cannot be {personal.protection}")
            if (personal.protection in SEALED) != column.endswith("_ct"):
                found.append(f"{whole} is named as if it were {'not ' * (not column.endswith('_ct'))}sealed")
        for column in table.none:
            declared.add(f"{name}.{column}")
            if column.endswith("_ct"):
                found.append(f"{name}.{column} is personal by its name")
    found += [f"{whole} does not exist" for whole in sorted(declared - set(known))]
    found += [
        f"{column.whole} is not declared"
        for column in known.values()
        if column.whole not in declared
        and column.table in inventory.tables
        and (not column.harmless or column.names_a_person)
    ]
    return found


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    """The inventory of the program."""
    return load_inventory()


async def test_every_column_that_could_hold_a_word_is_declared_once_and_as_what_it_is(
    region: TestRegion, inventory: Inventory
) -> None:
    columns = await both_databases(region)
    assert len(columns) > 250
    assert problems(inventory, columns) == []


async def test_whoever_adds_a_table_or_a_column_without_declaring_it_is_told_so(
    region: TestRegion, inventory: Inventory
) -> None:
    connection = await region.connect()
    scratch = connection.transaction()
    await scratch.start()
    try:
        for statement in (
            "create table accounts.scratch (id uuid, note text)",
            "create view accounts.seen as select id from accounts.person",
            "alter table accounts.person add column nickname text",
            "alter table accounts.person add column born date, add column home inet, add column tags text[]",
            "alter table accounts.person add column invited_by uuid",
            "alter table keys.api_key drop column name",
            "alter table logs.request alter column address_hash type text using null",
        ):
            await connection.execute(statement)
        vault = await asyncpg.connect(region.database.cluster.url(region.database.vault))
        columns = [*await columns_of(connection), *await columns_of(vault)]
        await vault.close()
        assert sorted(problems(inventory, columns)) == [
            "accounts.person.home is not declared",
            "accounts.person.invited_by is not declared",
            "accounts.person.nickname is not declared",
            "accounts.person.tags is not declared",
            "accounts.scratch is not declared",
            "accounts.seen is not declared",
            "keys.api_key.name does not exist",
            "logs.request.address_hash is text and cannot be keyed_hash",
        ]
    finally:
        await scratch.rollback()
        await connection.close()


def test_only_the_known_columns_hold_something_of_somebody_in_clear(inventory: Inventory) -> None:
    plain = {
        f"{name}.{column}"
        for name, table in inventory.tables.items()
        for column, personal in table.personal.items()
        if personal.protection == "plain"
    }
    assert plain == IN_CLEAR


def test_every_rule_is_used_and_every_plan_has_what_a_rule_names(inventory: Inventory) -> None:
    everything: list[Table | Store] = [
        *inventory.tables.values(),
        *inventory.caches.values(),
        *inventory.folders.values(),
        *inventory.topics.values(),
    ]
    assert {each.retention for each in everything} == set(inventory.retentions)
    used = {each.purpose for table in inventory.tables.values() for each in table.personal.values()}
    assert used == set(inventory.purposes)
    categories = {field.name for field in dataclasses.fields(PlanRetention)}
    assert {rule.category for rule in inventory.retentions.values() if rule.category} <= categories


async def test_what_is_said_to_enforce_a_retention_exists_and_is_called(
    region: TestRegion, inventory: Inventory
) -> None:
    program = "\n".join(path.read_text() for path in SERVER.rglob("*.py"))
    connection = await region.connect()
    try:
        for name, rule in inventory.retentions.items():
            function = re.match(r"[a-z]+\.[a-z_]+", rule.enforced_by)
            if function:
                assert await connection.fetchval("select to_regproc($1)", function[0]), name
                assert f"{function[0]}(" in program, name
    finally:
        await connection.close()


def test_every_folder_of_an_embedded_stack_is_declared(inventory: Inventory, tmp_path: Path) -> None:
    Layout.at(tmp_path).prepare(("us",))
    layout = Layout.at(tmp_path).region("us")
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_dir()} - {"us"}
    made |= {layout.postgres.relative_to(tmp_path).as_posix()}
    assert {place.replace("us/", "<region>/", 1) for place in made} <= set(inventory.folders)
