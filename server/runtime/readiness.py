"""Looks at the databases once before serving, so that a wrong setting ends in a sentence and not in failing calls."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.runtime.database import Databases
from server.runtime.database_errors import driver_error
from server.runtime.errors import StartError

_PATIENCE_SECONDS = 10.0


async def check_databases(databases: Databases) -> None:
    """Connects to each database as each role, and checks that its tables are there.

    Raises:
        StartError: one cannot be used; the message names the setting and says what to do.
    """
    checks = {
        "BABYSEA_DATABASE_URL": (databases.app, "keys.find_key"),
        "BABYSEA_ADMITTER_DATABASE_URL": (databases.admitter, ""),
        "BABYSEA_WORKER_DATABASE_URL": (databases.worker, ""),
        "BABYSEA_VAULT_DATABASE_URL": (databases.vault, "vault.data_key"),
    }
    for setting, (engine, thing) in checks.items():
        await _check(setting, engine, thing)


async def _check(setting: str, engine: AsyncEngine, thing: str) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS), engine.connect() as connection:
            if thing and not await connection.scalar(
                text("select coalesce(to_regclass(:thing)::oid, to_regproc(:thing)::oid) is not null"),
                {"thing": thing},
            ):
                raise StartError(f"The database of {setting} has no BabySea tables yet; run: babysea migrate")
    except StartError:
        raise
    except Exception as error:  # noqa: BLE001  every failure becomes a sentence
        _explain(setting, engine, error)


def _explain(setting: str, engine: AsyncEngine, error: Exception) -> NoReturn:
    cause = driver_error(error)
    url = engine.url
    place = f"{url.host}:{url.port or 5432}"
    if isinstance(cause, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError):
        sentence = f"The database at {place} refuses the user or password of {setting}; correct them."
    elif isinstance(cause, asyncpg.InvalidCatalogNameError):
        sentence = f"There is no database {url.database} at {place}; create it, or correct {setting}."
    else:
        sentence = f"Cannot reach the database at {place}; start it, or correct {setting}."
    raise StartError(sentence) from error
