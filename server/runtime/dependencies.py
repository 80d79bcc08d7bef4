"""What the services of one process share, made once from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from kit.clock import Clock, SystemClock
from kit.settings import Settings
from server.accounts.access import MemberAccess
from server.accounts.identity.passwords import PasswordHasher
from server.accounts.sessions import SessionVerifier
from server.catalog import Catalog, CatalogError, load_catalog
from server.keys.hashing import KeyHasher
from server.keys.verification import KeyVerifier
from server.runtime.database import Databases, open_databases
from server.runtime.encryption import Envelope, MasterKey
from server.runtime.errors import StartError
from server.runtime.rate_limit import AccountLimits
from server.runtime.transport import refuse_plaintext, refuse_real_providers

_URLS = ("database_url", "admitter_database_url", "worker_database_url", "vault_database_url")


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The shared parts of a process; every service takes what it needs from here."""

    settings: Settings
    clock: Clock
    databases: Databases
    envelope: Envelope
    catalog: Catalog
    hasher: KeyHasher
    verifier: KeyVerifier
    sessions: SessionVerifier
    members: MemberAccess
    passwords: PasswordHasher
    limits: AccountLimits | None = None
    """Requests per minute of accounts; None until the counters behind them are open."""

    async def close(self) -> None:
        """Finishes what is in the background, then closes every connection."""
        await self.verifier.close()
        self.passwords.close()
        await self.databases.close()

    def address_hash(self, address: str) -> str:
        """12 hex characters that stand for a client address; nothing about it can be read from them."""
        return self.envelope.address_hash(address).hex()[:12]


def open_dependencies(settings: Settings, clock: Clock | None = None) -> Dependencies:
    """Makes the parts; nothing connects yet.

    Raises:
        StartError: a setting is missing or cannot be used; the message says which and what to do.
    """
    refuse_plaintext(settings)
    refuse_real_providers(settings)
    if settings.mode == "production" and settings.input_allow_private:
        raise StartError(
            "Production mode fetches no input file from inside of the network; empty BABYSEA_INPUT_ALLOW_PRIVATE."
        )
    for name in _URLS:
        if not getattr(settings, name).get_secret_value():
            raise StartError(f"BABYSEA_{name.upper()} is not set; set it to a PostgreSQL URL.")
    try:
        master = MasterKey(settings.master_key.get_secret_value())
        catalog = load_catalog(settings.catalog_dir)
    except (ValueError, CatalogError) as error:
        # Both are written for people.
        raise StartError(str(error)) from error
    try:
        databases = open_databases(settings)
    except Exception as error:
        # A URL that cannot be read; its text holds a password.
        raise StartError("One of the BABYSEA_*DATABASE_URL settings is not a PostgreSQL URL.") from error
    chosen = clock or SystemClock()
    hasher = KeyHasher(master.derived("api_key_pepper"), settings.bcrypt_cost)
    envelope = Envelope(master, databases.vault)
    return Dependencies(
        settings=settings,
        clock=chosen,
        databases=databases,
        envelope=envelope,
        catalog=catalog,
        hasher=hasher,
        verifier=KeyVerifier(
            databases.app, hasher, settings.region, chosen, settings.database_url.get_secret_value()
        ),
        sessions=SessionVerifier(databases.app, envelope, settings.region, chosen),
        members=MemberAccess(databases.app),
        passwords=PasswordHasher(
            master.derived("password_pepper"), settings.argon2_memory_kib, settings.argon2_passes
        ),
    )
