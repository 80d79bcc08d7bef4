"""The skeleton: accounts, keys, ledger, generations, events, leases."""

from server.migrations.sql_files import run_folder

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_folder("0001")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup: migrations only go forward.")
