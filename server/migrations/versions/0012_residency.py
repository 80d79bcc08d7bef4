"""Strict residency: admission keeps to the providers that conform to it."""

from server.migrations.sql_files import run_folder

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0012")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
