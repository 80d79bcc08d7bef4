"""What "the skeleton holds" adds to keys."""

from server.migrations.sql_files import run_folder

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0002")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
