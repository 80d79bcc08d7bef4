"""The one place where driver errors become errors that a caller may see."""

from __future__ import annotations

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError

_UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.DiskFullError,
    asyncpg.ReadOnlySQLTransactionError,
    ConnectionError,
    TimeoutError,
    OSError,
)
_REFUSED = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.SyntaxOrAccessError,
    asyncpg.PLPGSQLError,
)


def is_database_error(error: BaseException) -> bool:
    """Whether an exception came from the database or its driver."""
    return isinstance(error, SQLAlchemyError | asyncpg.PostgresError | asyncpg.InterfaceError)


def driver_error(error: BaseException) -> BaseException:
    """The asyncpg error inside SQLAlchemy's wrappers, or the error itself."""
    while isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    cause = error.__cause__
    return cause if isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError) else error


def is_refused(error: BaseException) -> bool:
    """Whether the database refuses a statement for what it says, so that the same one would be refused again."""
    return isinstance(driver_error(error), _REFUSED)


def safe_error(error: BaseException) -> BabySeaError:
    """SERVICE_UNAVAILABLE where the database is away or busy, INTERNAL_ERROR for everything else; no text leaks."""
    cause = driver_error(error)
    if isinstance(cause, asyncpg.DataError):
        return BabySeaError(
            error_reason_pb2.ERROR_REASON_INVALID_INPUT, "The request holds a value that cannot be stored."
        )
    away = isinstance(error, PoolTimeout | InterfaceError) or isinstance(cause, _UNAVAILABLE)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        away = True
    if away:
        return BabySeaError(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE)
    return BabySeaError(error_reason_pb2.ERROR_REASON_INTERNAL_ERROR)


def is_locked(error: BaseException) -> bool:
    """Whether a statement gave up waiting for a row that another transaction holds."""
    return isinstance(driver_error(error), asyncpg.LockNotAvailableError)


def rolled_back(error: BaseException) -> bool:
    """Whether a failed statement certainly changed nothing: it was never sent, or the server itself refused it.

    A connection that broke, or a wait that was given up, says nothing about the commit.
    """
    if isinstance(error, PoolTimeout):
        return True
    cause = driver_error(error)
    if isinstance(cause, asyncpg.AdminShutdownError | asyncpg.CrashShutdownError):
        return False
    if isinstance(
        cause, asyncpg.CannotConnectNowError | asyncpg.TooManyConnectionsError | ConnectionRefusedError
    ):
        return True
    return isinstance(cause, asyncpg.PostgresError) and not isinstance(cause, asyncpg.PostgresConnectionError)
