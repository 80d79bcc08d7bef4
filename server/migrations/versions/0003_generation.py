"""What "the skeleton holds" adds to generation."""

from server.migrations.sql_files import run_folder

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0003")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
