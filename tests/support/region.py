"""A region's parts for tests: settings, engines, encryption, and accounts with money."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from pydantic import SecretStr

from kit.ids import uuid7
from kit.settings import Settings
from server.runtime.database import Databases, open_databases
from server.runtime.encryption import Envelope, MasterKey
from tests.support.postgres import TestDatabase

# Without a pattern: a search for it must not find what a database writes of itself.
MASTER_KEY = base64.b64encode(hashlib.sha256(b"the master key of tests").digest()).decode()


@dataclass
class TestRegion:
    """One region on a database of its own."""

    __test__ = False
    database: TestDatabase
    settings: Settings
    databases: Databases
    envelope: Envelope

    async def close(self) -> None:
        """Closes every connection."""
        await self.databases.close()

    async def connect(self, role: str | None = None) -> asyncpg.Connection:
        """A raw connection, as a role or as the superuser; the caller closes it."""
        return await asyncpg.connect(self.database.url(role))

    async def new_account(self, *, credit: int = 0, in_flight: int = 1000, plan: str = "enterprise") -> UUID:
        """An account with a data key, a journal and, where asked, a grant of `credit` micro-dollars."""
        account_id = uuid7()
        await self.envelope.create_data_key(account_id)
        name = await self.envelope.seal(account_id, "account.name", account_id, b"Test")
        connection = await self.connect()
        try:
            await connection.execute(
                "insert into accounts.account (id, plan, name_ct) values ($1, $2, $3)", account_id, plan, name
            )
            await connection.execute("select ledger.open_account($1, $2)", account_id, in_flight)
            if credit:
                word = await connection.fetchval(
                    "select ledger.grant_credit($1, $2, 'seed')", account_id, credit
                )
                assert word == "granted"
        finally:
            await connection.close()
        return account_id

    async def audit(self) -> list[tuple[str, str]]:
        """Every violated invariant of the ledger."""
        connection = await self.connect("babysea_worker")
        try:
            return [tuple(row) for row in await connection.fetch("select * from ledger.audit()")]
        finally:
            await connection.close()


def settings_for(database: TestDatabase, **changes: object) -> Settings:
    """Settings of a region on a test database."""
    values: dict[str, object] = {
        "database_url": SecretStr(database.url("babysea_app")),
        "admitter_database_url": SecretStr(database.url("babysea_admitter")),
        "worker_database_url": SecretStr(database.url("babysea_worker")),
        "logs_database_url": SecretStr(database.url("babysea_logger")),
        "admin_database_url": SecretStr(database.url()),
        "vault_database_url": SecretStr(database.cluster.url(database.vault, "babysea_app")),
        "master_key": SecretStr(MASTER_KEY),
        "bcrypt_cost": 4,
        "region": "us",
    }
    return Settings.model_validate({**values, **changes})


def open_region(database: TestDatabase, **changes: object) -> TestRegion:
    """A region's parts on a test database."""
    settings = settings_for(database, **changes)
    databases = open_databases(settings)
    envelope = Envelope(MasterKey(settings.master_key.get_secret_value()), databases.vault)
    return TestRegion(database, settings, databases, envelope)
