"""What "tenants" adds to privacy."""

from server.migrations.sql_files import run_folder

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0009")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
