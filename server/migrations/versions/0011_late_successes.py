"""Late successes: jobs that a provider finishes after it had said that they failed or were stopped."""

from server.migrations.sql_files import run_folder

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0011")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
