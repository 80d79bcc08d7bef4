"""Which region a request belongs to: the one its Host names, otherwise the one of the port it came in on."""

from __future__ import annotations

import re
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send

from kit.settings import REGIONS, Region

PORT_REGION = "babysea.port_region"
"""ASGI scope key of the region whose port took the connection."""

_HOST = re.compile(
    rf"(?:^|\.)api\.({'|'.join(REGIONS)})\.(?:babysea\.ai|localhost)\.?(?::\d+)?$", re.IGNORECASE
)


def region_of_host(host: str) -> Region | None:
    """The region that a Host header names, for example "us" for "api.us.babysea.ai"; None when it names none."""
    match = _HOST.search(host.strip())
    return None if match is None else cast("Region", match[1].lower())


def region_of(scope: Scope) -> Region:
    """The region of a request. A name in the Host wins over the port."""
    for name, value in scope["headers"]:
        if name == b"host":
            return region_of_host(value.decode("latin-1")) or scope[PORT_REGION]
    return cast("Region", scope[PORT_REGION])


def entry(app: ASGIApp, region: Region) -> ASGIApp:
    """The application as it is reached through the port of one region."""

    async def enter(scope: Scope, receive: Receive, send: Send) -> None:
        scope[PORT_REGION] = region
        await app(scope, receive, send)

    return enter
