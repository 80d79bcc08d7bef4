"""Every route for people."""

from __future__ import annotations

from starlette.routing import BaseRoute

from gateway.v1.members import (
    auth,
    consents,
    invitations,
    keys,
    logs,
    me,
    notifications,
    oidc,
    people,
    settings,
    teams,
    totp,
    usage,
)

ROUTES: list[BaseRoute] = [
    route
    for router in (
        auth.router,
        auth.signed_in_router,
        oidc.router,
        oidc.signed_in_router,
        me.router,
        totp.router,
        teams.router,
        people.router,
        invitations.router,
        invitations.letter_router,
        settings.router,
        notifications.router,
        consents.router,
        consents.text_router,
        # Before the routes of one key, which would take "usage" for an id.
        usage.router,
        keys.router,
        logs.router,
    )
    for route in router.routes
]
