"""The database's migrations: Alembic for the order, plain SQL for what they do."""
