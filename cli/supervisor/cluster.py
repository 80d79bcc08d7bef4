"""The database of one region: a cluster with two databases, brought to the newest schema."""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cli.database import comment_of, create_databases, set_comment
from cli.errors import CliError, Exit
from cli.supervisor.environment import DatabaseUrls
from cli.supervisor.secrets import ROLES, RegionSecrets

if TYPE_CHECKING:
    from server.runtime.embedded import Cluster

MAIN, VAULT = "babysea", "babysea_vault"
# Alembic keeps the context of a migration in module globals, so that only one can run at a time in a process.
_one_migration = threading.Lock()


def urls_of(cluster: Cluster, secrets: RegionSecrets) -> DatabaseUrls:
    """Every URL into a cluster."""
    return DatabaseUrls(
        admin=cluster.url(MAIN),
        vault_admin=cluster.url(VAULT),
        roles={role: cluster.url(MAIN, role, secrets.passwords[role]) for role in ROLES},
        vault_roles={role: cluster.url(VAULT, role, secrets.passwords[role]) for role in ROLES},
    )


def migrate(region: str, urls: DatabaseUrls, secrets: RegionSecrets) -> None:
    """Makes the databases where they are missing, sets the roles' passwords and runs the migrations.

    A region that had exactly these migrations and passwords before is left alone, which halves the time of a restart;
    the note of that is a comment on its database, so that it goes wherever the data goes.

    Raises:
        CliError: it failed.
    """
    wanted = _mark(secrets)
    if comment_of("the embedded database", urls.admin) == wanted:
        return
    create_databases({"the embedded database": urls.admin, "the embedded vault": urls.vault_admin})
    try:
        with _one_migration:
            from server.migrations.runner import upgrade

            upgrade(urls.admin, urls.vault_admin, secrets.passwords)
    except Exception as error:
        code = getattr(getattr(error, "orig", error), "sqlstate", None) or type(error).__name__
        raise CliError(
            f"The database of {region} could not be brought to the newest schema ({code}); read the end of its log "
            f"{region}/postgres/postgres.log in the data folder.",
            Exit.FAILED,
        ) from error
    set_comment("the embedded database", urls.admin, wanted)


def _mark(secrets: RegionSecrets) -> str:
    """Names the migrations of this version and the passwords, revealing nothing of the random passwords."""
    passwords = "".join(secrets.passwords[role] for role in ROLES)
    return "babysea schema " + hashlib.sha256(_migrations_digest() + passwords.encode()).hexdigest()


@cache
def _migrations_digest() -> bytes:
    spec = importlib.util.find_spec("server.migrations")
    if spec is None or not spec.submodule_search_locations:
        raise CliError("The package server.migrations is not installed; run `make setup`.")
    folder = Path(next(iter(spec.submodule_search_locations)))
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".sql", ".py"}):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()
