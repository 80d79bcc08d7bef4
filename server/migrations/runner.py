"""Brings a region's two databases to the newest schema: `babysea migrate`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config

HERE = Path(__file__).resolve().parent
SQL = HERE / "sql"
LOGIN_ROLES = ("babysea_app", "babysea_admitter", "babysea_worker", "babysea_logger")


def upgrade(admin_url: str, vault_url: str, role_passwords: Mapping[str, str] | None = None) -> None:
    """Creates the roles, then brings the main and the vault database to the newest schema. Idempotent.

    Args:
        admin_url: postgresql:// URL of the main database, of a role that may create roles.
        vault_url: the same of the vault database.
        role_passwords: passwords to set for the login roles; roles that are not named keep theirs.

    Raises:
        OSError, asyncpg.PostgresError: the database is away or refused a statement.
    """
    asyncio.run(_prepare(admin_url, vault_url, role_passwords or {}))
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["url"] = admin_url
    command.upgrade(config, "head")


async def _prepare(admin_url: str, vault_url: str, role_passwords: Mapping[str, str]) -> None:
    main = await asyncpg.connect(admin_url)
    try:
        await main.execute((SQL / "roles.sql").read_text())
        # The vault is not for these two, so this grant is not among those that both databases get.
        name = await main.fetchval("select quote_ident(current_database())")
        await main.execute(f"grant connect on database {name} to babysea_admitter, babysea_logger")
        for role in LOGIN_ROLES:
            if role in role_passwords:
                # ALTER ROLE takes no parameters; quote_literal is the server's own quoting.
                quoted = await main.fetchval("select quote_literal($1::text)", role_passwords[role])
                await main.execute(f"alter role {role} password {quoted}")
    finally:
        await main.close()
    vault = await asyncpg.connect(vault_url)
    try:
        await vault.execute((SQL / "roles.sql").read_text())
        async with vault.transaction():
            await vault.execute((SQL / "vault" / "0001.sql").read_text())
    finally:
        await vault.close()
