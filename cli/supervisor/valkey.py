"""The Valkey of one region: counts that its servers share, and nothing that anybody would miss."""

from __future__ import annotations

import os
from collections.abc import Callable

from cli.supervisor.children import Children, Program
from cli.supervisor.files import write_private
from cli.supervisor.layout import RegionLayout
from cli.supervisor.secrets import RegionSecrets
from server.runtime.embedded import valkey

_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def run(
    region: str,
    place: RegionLayout,
    port: int,
    secrets: RegionSecrets,
    children: Children,
    tell: Callable[[str], None],
) -> dict[str, str]:
    """Starts it and keeps it running; the variables by which the region's servers find it.

    Where there is no Valkey for this machine, each server limits by itself, and a person is told so.
    """
    file = place.secrets / "valkey.conf"
    try:
        command = valkey.command(file)
    except valkey.ValkeyMissingError as error:
        tell(f"Each server of {region} limits requests by itself: {error}")
        return {}
    write_private(file, valkey.configuration(port, secrets.valkey_password, place.root))
    variables = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    children.run(Program(f"{region} valkey", command, variables))
    return {"BABYSEA_VALKEY_URL": valkey.url(port, secrets.valkey_password)}
