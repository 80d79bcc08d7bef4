"""What all inference providers add: postponed providers in timelines, jobs in several parts, callbacks."""

from server.migrations.sql_files import run_folder

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0010")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
