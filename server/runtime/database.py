"""Connections to the regional database: one engine per role, and transactions that know their tenant."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import event, text
from sqlalchemy.engine.interfaces import DBAPIConnection, ExecutionContext
from sqlalchemy.engine.url import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from kit.settings import Settings

_SET_TENANT = text("select set_config('app.account_id', :account, true)")
_SET_PERSON = text("select set_config('app.person_id', :person, true)")
_SET_BOTH = text(
    "select set_config('app.account_id', :account, true), set_config('app.person_id', :person, true)"
)
_waited: ContextVar[list[float] | None] = ContextVar("babysea_database_wait", default=None)


@dataclass(frozen=True, slots=True)
class Databases:
    """The engines of one process; each logs in as a role of its own."""

    app: AsyncEngine
    """babysea_app: the request path, bound by row-level security."""
    admitter: AsyncEngine
    """babysea_admitter, in autocommit: admission, settlement and cancel functions, and nothing else."""
    worker: AsyncEngine
    """babysea_worker: system loops and the ledger's verbs."""
    lease: AsyncEngine
    """babysea_worker, one connection: a worker's lease, which must not wait behind the worker's own statements."""
    vault: AsyncEngine
    """The vault database, which keeps wrapped data keys apart from the data."""
    logger: AsyncEngine | None = None
    """babysea_logger, in autocommit: writes the request log and nothing else; None where none is kept."""

    async def close(self) -> None:
        """Closes every connection."""
        for engine in (self.app, self.admitter, self.worker, self.lease, self.vault, self.logger):
            if engine is not None:
                await engine.dispose()


def open_databases(settings: Settings) -> Databases:
    """Makes the engines; nothing connects before it is first used."""
    worker = settings.worker_database_url.get_secret_value()
    return Databases(
        app=_engine(settings.database_url.get_secret_value(), settings.database_pool_size),
        admitter=_engine(
            settings.admitter_database_url.get_secret_value(), settings.admitter_pool_size, autocommit=True
        ),
        worker=_engine(worker, settings.database_pool_size),
        lease=_engine(worker, 1),
        vault=_engine(settings.vault_database_url.get_secret_value(), 2),
        logger=_logger(settings.logs_database_url.get_secret_value()),
    )


def asyncpg_url(url: str) -> URL:
    """The same URL for SQLAlchemy's asyncpg dialect, with what it says about TLS where the driver reads it."""
    parsed = make_url(url).set(drivername="postgresql+asyncpg")
    tls = {name: value for name, value in parsed.query.items() if name.startswith("ssl")}
    if not tls:
        return parsed
    # The driver knows sslmode and sslrootcert only in a URL of its own; the dialect would pass them by name.
    own = URL.create("postgresql", query=tls).render_as_string(hide_password=False)
    return parsed.difference_update_query(tls).update_query_dict({"dsn": own})


def _logger(url: str) -> AsyncEngine | None:
    # Nobody waits for a log row to be on disk, and the flushes of others need not wait for its.
    return _engine(url, 1, autocommit=True, synchronous_commit="off") if url else None


def _engine(url: str, size: int, *, autocommit: bool = False, **server_settings: str) -> AsyncEngine:
    engine = create_async_engine(
        asyncpg_url(url),
        hide_parameters=True,
        pool_size=size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=False,
        pool_recycle=1800,
        isolation_level="AUTOCOMMIT" if autocommit else None,
        connect_args={
            "timeout": 5,
            "command_timeout": 15,
            "server_settings": {
                # The 2 s that a second caller of one Idempotency-Key waits for the first, and a bound for every lock.
                "lock_timeout": "2000",
                "statement_timeout": "10000",
                "jit": "off",
                # A connection that is dropped in the middle of a statement takes the statement with it: a backend looks at
                # its socket only this often, and by default never.
                "client_connection_check_interval": "1000",
                "application_name": "babysea",
                **server_settings,
            },
        },
    )
    event.listen(engine.sync_engine, "before_cursor_execute", _start_timer)
    event.listen(engine.sync_engine, "after_cursor_execute", _stop_timer)
    return engine


@asynccontextmanager
async def tenant_transaction(engine: AsyncEngine, account_id: UUID) -> AsyncIterator[AsyncConnection]:
    """A transaction in which row-level security shows and accepts only rows of one account."""
    async with engine.begin() as connection:
        await connection.execute(_SET_TENANT, {"account": str(account_id)})
        yield connection


@asynccontextmanager
async def person_transaction(engine: AsyncEngine, person_id: UUID) -> AsyncIterator[AsyncConnection]:
    """A transaction in which row-level security shows what is one person's own."""
    async with engine.begin() as connection:
        await connection.execute(_SET_PERSON, {"person": str(person_id)})
        yield connection


@asynccontextmanager
async def member_transaction(
    engine: AsyncEngine, account_id: UUID, person_id: UUID
) -> AsyncIterator[AsyncConnection]:
    """A transaction in which row-level security shows what is one account's and what is one person's own."""
    async with engine.begin() as connection:
        await connection.execute(_SET_BOTH, {"account": str(account_id), "person": str(person_id)})
        yield connection


@asynccontextmanager
async def system_transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction of a system loop; what it may do is what its role was granted."""
    async with engine.begin() as connection:
        yield connection


@asynccontextmanager
async def statement(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection in autocommit, for a single statement or for reads that need no snapshot: one round trip each."""
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        yield connection


@asynccontextmanager
async def database_stopwatch() -> AsyncIterator[list[float]]:
    """Collects the seconds that statements take inside, for Server-Timing."""
    waits: list[float] = []
    token = _waited.set(waits)
    try:
        yield waits
    finally:
        _waited.reset(token)


def note_database_wait(seconds: float) -> None:
    """Counts time spent waiting for a statement that another task runs for this call."""
    waits = _waited.get()
    if waits is not None:
        waits.append(seconds)


def forget_database_wait() -> None:
    """Stops counting in the current context: whoever waits for it counts the whole wait."""
    _waited.set(None)


def _start_timer(
    connection: object,
    cursor: object,
    statement: str,
    parameters: object,
    context: ExecutionContext | None,
    executemany: bool,
) -> None:
    if context is not None and _waited.get() is not None:
        context.babysea_started = time.perf_counter()  # type: ignore[attr-defined]


def _stop_timer(
    connection: object,
    cursor: DBAPIConnection,
    statement: str,
    parameters: object,
    context: ExecutionContext | None,
    executemany: bool,
) -> None:
    waits = _waited.get()
    if context is not None and waits is not None and hasattr(context, "babysea_started"):
        waits.append(time.perf_counter() - context.babysea_started)
