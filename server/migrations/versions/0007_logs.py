"""What "tenants" adds to logs."""

from server.migrations.sql_files import run_folder

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0007")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
