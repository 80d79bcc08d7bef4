"""Identity's parts, made from what the services of a process share."""

from __future__ import annotations

from dataclasses import dataclass

from server.accounts.identity.oidc_provider import OidcProviders, open_oidc
from server.accounts.identity.parts import DayKeys, Identity
from server.accounts.identity.servicer import IdentityServicer
from server.accounts.identity.throttling import Throttle
from server.runtime.dependencies import Dependencies


@dataclass(frozen=True, slots=True)
class IdentityParts:
    """The servicer, and what is to be closed after it."""

    servicer: IdentityServicer
    identity: Identity
    providers: OidcProviders

    async def close(self) -> None:
        """Ends the connections to providers."""
        await self.providers.close()


def identity_of(shared: Dependencies) -> Identity:
    """What identity's use cases need; for other services, too, that ask a person for the password."""
    return Identity(
        engine=shared.databases.app,
        envelope=shared.envelope,
        clock=shared.clock,
        region=shared.settings.region,
        catalog=shared.catalog,
        passwords=shared.passwords,
        throttle=Throttle(shared.databases.app, shared.envelope, shared.clock),
        day_keys=DayKeys(shared.envelope, shared.clock),
    )


def identity_parts(shared: Dependencies) -> IdentityParts:
    """The parts.

    Raises:
        StartError: a setting cannot be used; the message says what to do.
    """
    identity = identity_of(shared)
    providers = open_oidc(shared.settings)
    return IdentityParts(IdentityServicer(identity, providers), identity, providers)
