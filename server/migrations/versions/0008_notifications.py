"""What "tenants" adds to notifications."""

from server.migrations.sql_files import run_folder

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0008")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
