"""The secrets of one region: made once, each in a file of mode 0600, never printed."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from cli.errors import CliError
from cli.supervisor.files import write_private
from cli.supervisor.layout import RegionLayout

ROLES = ("babysea_app", "babysea_admitter", "babysea_worker", "babysea_logger")


@dataclass(frozen=True, slots=True)
class RegionSecrets:
    """What the programs of one region need to know and nobody else may."""

    master_key: str = field(repr=False)
    """32 random bytes in base64."""
    passwords: dict[str, str] = field(repr=False)
    """Of the database's login roles."""
    valkey_password: str = field(default="", repr=False)


def ensure(place: RegionLayout) -> RegionSecrets:
    """Makes what is missing and returns all of it; the token files are only ever read by the programs.

    Raises:
        CliError: a database exists and the key to it is gone, or a file is damaged.
    """
    master = place.secrets / "master_key"
    if not master.exists() and (place.postgres / "cluster.json").exists():
        raise CliError(
            f"The file {master} is gone while the database that it opens exists; restore it, "
            f"or remove {place.root} to begin with an empty region."
        )
    _once(place, "service_token", lambda: "svc_" + secrets.token_urlsafe(32))
    _once(place, "operator_token", lambda: "op_" + secrets.token_urlsafe(32))
    passwords = _passwords(place)
    key = _once(place, "master_key", lambda: base64.b64encode(os.urandom(32)).decode())
    valkey_password = _once(place, "valkey_password", lambda: secrets.token_urlsafe(24))
    return RegionSecrets(key, passwords, valkey_password)


def read_token(place: RegionLayout) -> str:
    """The operator token of a region.

    Raises:
        CliError: there is none to read.
    """
    try:
        return place.operator_token.read_text(encoding="ascii").strip()
    except OSError as error:
        raise CliError(
            f"Cannot read the operator token {place.operator_token} ({error.strerror}); "
            "run this as the user who ran `babysea up`, with the same --data-dir."
        ) from error


def _once(place: RegionLayout, name: str, make: Callable[[], str]) -> str:
    path = place.secrets / name
    if not path.exists():
        write_private(path, make() + "\n")
    return path.read_text(encoding="ascii").strip()


def _passwords(place: RegionLayout) -> dict[str, str]:
    path = place.secrets / "passwords.json"
    try:
        known = json.loads(_once(place, path.name, lambda: "{}"))
        passwords = {role: str(known.get(role) or secrets.token_urlsafe(24)) for role in ROLES}
    except (ValueError, AttributeError):
        raise CliError(f"The file {path} is damaged; remove it, and new passwords will be set.") from None
    if passwords != known:
        # At first, and when a newer version has a role more.
        write_private(path, json.dumps(passwords) + "\n")
    return passwords
