"""Runs SQL files inside a migration. asyncpg's own execute is used, because SQLAlchemy on asyncpg refuses several
statements in one string."""

from __future__ import annotations

from pathlib import Path

from alembic import op
from sqlalchemy.util import await_only

SQL = Path(__file__).resolve().parent / "sql"


def run_folder(name: str) -> None:
    """Executes every .sql file of sql/<name> in the order of their names, as the role that owns everything."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("the migration has no connection")
    await_only(connection.execute("set local role babysea_owner"))
    for path in sorted((SQL / name).glob("*.sql")):
        await_only(connection.execute(path.read_text()))
    await_only(connection.execute("reset role"))
