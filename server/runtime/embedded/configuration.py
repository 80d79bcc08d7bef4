"""The settings of an embedded cluster, written anew at every start."""

import os
from pathlib import Path

from server.runtime.embedded.account import ServerAccount
from server.runtime.embedded.ports import HOST

SUPERUSER = "babysea_admin"
_FILE = "babysea.conf"

_ALWAYS = {
    "listen_addresses": HOST,
    # No socket file: its path has a length limit that a deep project folder exceeds.
    "unix_socket_directories": "",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # This file is the truth; ALTER SYSTEM would silently win over it.
    "allow_alter_system": "off",
    # Row values and prompts never reach a log. `terse` drops details and contexts, `panic` statements; but a
    # message itself may quote a value ("invalid input syntax for type uuid: …"), so errors of clients are
    # reported to the clients alone: level `log` keeps the server's own news, FATAL and PANIC.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_statement": "none",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "logging_collector": "off",
}
_DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "64MB",
}
# For tests: a crash of the machine may destroy the cluster, a crash of the server costs the last commits.
_FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "io_method": "sync",
}
_ACCESS = f"""\
# Written at every start: passwords only, from this machine only.
host all all {HOST}/32 scram-sha-256
"""


def include_settings(data: Path) -> None:
    """Make a new cluster read our settings after those that initdb found for this machine."""
    with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(f"\ninclude '{_FILE}'\n")


def write_settings(data: Path, account: ServerAccount, *, port: int, durable: bool) -> None:
    """Write the settings and access rules that the next start of `data` will read."""
    chosen = {**_ALWAYS, **(_DURABLE if durable else _FAST), "port": str(port)}
    lines = [f"{name} = '{value}'" for name, value in chosen.items()]
    _replace(
        data / _FILE,
        "# Written at every start; changes made here are lost.\n" + "\n".join(lines) + "\n",
        account,
    )
    _replace(data / "pg_hba.conf", _ACCESS, account)


def _replace(path: Path, text: str, account: ServerAccount) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    # The folder belongs to the other user: never follow a link that it may hold.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        if account.switched:
            os.fchown(file.fileno(), account.uid, account.gid)
    draft.replace(path)
