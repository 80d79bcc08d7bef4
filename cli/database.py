"""First look at a database: what is wrong with a URL or behind it, as one sentence without its password."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import asyncpg

from cli.errors import CliError, Exit

_CONNECT_SECONDS = 5.0
_COMMENT = "select shobj_description(oid, 'pg_database') from pg_database where datname = $1"


def check_url(variable: str, url: str) -> None:
    """Ends with one sentence unless the text is a PostgreSQL URL with a host, a user and a database.

    Raises:
        CliError: it is not; the sentence names the variable and says nothing of its value.
    """
    if not url:
        raise CliError(
            f"{variable} is not set; set it to postgresql://user:password@host:port/database, or use `babysea up`.",
            Exit.USAGE,
        )
    try:
        parts = urlsplit(url)
        named = parts.hostname and parts.username and parts.path.strip("/") and parts.port != 0
        complete = parts.scheme in {"postgresql", "postgres"} and bool(named)
    except ValueError:
        complete = False
    if not complete:
        raise CliError(
            f"{variable} is not a URL of PostgreSQL; write it like postgresql://user:password@host:port/database.",
            Exit.USAGE,
        )


def reach(urls: Mapping[str, str]) -> None:
    """Connects once to every database, all at the same time.

    Raises:
        CliError: one cannot be used; the sentence names the variable, the place and what to do.
    """

    async def all_of_them() -> None:
        await asyncio.gather(*(_try(variable, url) for variable, url in urls.items()))

    asyncio.run(all_of_them())


def create_databases(urls: Mapping[str, str]) -> None:
    """Makes the databases that the URLs name, where they are missing.

    Raises:
        CliError: the server cannot be used.
    """

    async def one_by_one() -> None:
        for variable, url in urls.items():
            parts = urlsplit(url)
            name = unquote(parts.path.strip("/"))
            connection = await _connect(variable, parts._replace(path="/postgres").geturl())
            try:
                if await connection.fetchval("select 1 from pg_database where datname = $1", name) is None:
                    quoted = await connection.fetchval("select quote_ident($1::text)", name)
                    await connection.execute(f"create database {quoted}")
            except asyncpg.PostgresError as error:
                raise CliError(
                    f"The database “{name}” cannot be made: {error.sqlstate}; make it by hand."
                ) from error
            finally:
                await connection.close()

    asyncio.run(one_by_one())


def comment_of(variable: str, url: str) -> str | None:
    """The comment on the database that a URL names; None when there is no such database or comment.

    Raises:
        CliError: the server cannot be used.
    """

    async def read() -> str | None:
        parts = urlsplit(url)
        connection = await _connect(variable, parts._replace(path="/postgres").geturl())
        try:
            found = await connection.fetchval(_COMMENT, unquote(parts.path.strip("/")))
            return None if found is None else str(found)
        finally:
            await connection.close()

    return asyncio.run(read())


def set_comment(variable: str, url: str, comment: str) -> None:
    """Comments the database that a URL names.

    Raises:
        CliError: the server cannot be used.
    """

    async def write() -> None:
        connection = await _connect(variable, url)
        try:
            statement = "select format('comment on database %I is %L', current_database(), $1::text)"
            await connection.execute(await connection.fetchval(statement, comment))
        finally:
            await connection.close()

    asyncio.run(write())


def passwords_in(urls: Iterable[str]) -> dict[str, str]:
    """The passwords that URLs name, by user."""
    found = {}
    for url in urls:
        parts = urlsplit(url)
        if parts.username and parts.password:
            found[unquote(parts.username)] = unquote(parts.password)
    return found


async def _try(variable: str, url: str) -> None:
    connection = await _connect(variable, url)
    await connection.close()


async def _connect(variable: str, url: str) -> asyncpg.Connection[Any]:
    parts = urlsplit(url)
    where, name = _place(parts), unquote(parts.path.strip("/"))
    try:
        return await asyncpg.connect(url, timeout=_CONNECT_SECONDS)
    except asyncpg.InvalidCatalogNameError as error:
        raise CliError(
            f"There is no database “{name}” at {where} ({variable}); create it, or run "
            "`babysea migrate --create-databases`.",
        ) from error
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise CliError(
            f"The database at {where} refuses the user “{parts.username}” ({variable}); correct its password there or in "
            "the URL, or run `babysea migrate`, which sets it."
        ) from error
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as error:
        raise CliError(
            f"No PostgreSQL answers at {where} ({variable}); start it, or correct the URL.", Exit.UNREACHABLE
        ) from error
    except asyncpg.PostgresError as error:
        raise CliError(
            f"The database at {where} refuses to connect: {error.sqlstate} ({variable})."
        ) from error


def _place(parts: SplitResult) -> str:
    return f"{parts.hostname}:{parts.port or 5432}"
