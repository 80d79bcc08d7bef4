"""What "the skeleton holds" adds to ledger."""

from server.migrations.sql_files import run_folder

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0004")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
