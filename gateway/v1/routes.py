"""Every route of version 1.

They are one flat list: nested routers are built anew for each application when its first request arrives, which then takes
half a second, and are searched several times as long for every request after it.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from gateway.v1 import account, create, estimate, generations, library
from gateway.v1.members import routes as members

ROUTES: list[BaseRoute] = [
    route for subject in (account, estimate, create, generations, library) for route in subject.router.routes
] + members.ROUTES
