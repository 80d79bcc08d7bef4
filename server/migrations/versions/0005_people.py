"""What "tenants" adds to people."""

from server.migrations.sql_files import run_folder

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0005")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
