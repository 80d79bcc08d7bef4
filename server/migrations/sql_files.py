"""Runs SQL files inside a migration. asyncpg's own execute is used, because SQLAlchemy on asyncpg refuses several
statements in one string."""

from __future__ import annotations

from pathlib import Path

from alembic import op
from sqlalchemy.util import await_only

SQL = Path(__file__).resolve().parent / "sql"


def run_folder(name: str) -> None:
    """Executes every .sql file of sql/<name> in the order of their names, as the role that owns everything."""
    # By SQLAlchemy, which begins the migration's transaction only now: without one the files would run each by itself, as
    # whoever connected, and half a migration could stay.
    op.execute("set local lock_timeout = '5s'")
    op.execute("set local role babysea_owner")
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("the migration has no connection")
    for path in sorted((SQL / name).glob("*.sql")):
        await_only(connection.execute(path.read_text()))
    await_only(connection.execute("reset role"))
