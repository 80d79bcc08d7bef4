"""What "tenants" adds to teams."""

from server.migrations.sql_files import run_folder

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0006")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
