"""An attempt that is given up unanswered goes on when its job has become known."""

from server.migrations.sql_files import run_folder

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0013")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
