"""Alembic's environment: one async connection, one transaction a migration, no long waits for locks."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from server.runtime.database import asyncpg_url


def migrate(connection: Connection) -> None:
    """Runs what is missing."""
    context.configure(connection=connection, transaction_per_migration=True, version_table_schema="public")
    with context.begin_transaction():
        connection.execute(text("set local lock_timeout = '5s'"))
        context.run_migrations()


async def main() -> None:
    """Connects and migrates."""
    engine = create_async_engine(asyncpg_url(context.config.attributes["url"]), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
        await connection.commit()
    await engine.dispose()


asyncio.run(main())
