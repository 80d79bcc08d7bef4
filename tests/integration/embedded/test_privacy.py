"""The server's log never holds what customers wrote."""

from pathlib import Path

import asyncpg
import pytest

from server.runtime.embedded import EmbeddedPostgres

from .conftest import Query

MARKER = "a-prompt-that-nobody-else-may-read"


def test_no_row_value_reaches_the_log_whatever_fails(
    postgres: EmbeddedPostgres, folder: Path, template: Path, query: Query
) -> None:
    cluster = postgres.start(folder / "quiet", durable=False, copy_from=template)
    query(cluster, "alter table fact add unique (words)")
    query(cluster, "insert into fact values (2, $1)", MARKER)

    with pytest.raises(asyncpg.UniqueViolationError):
        query(cluster, "insert into fact values (3, $1)", MARKER)
    with pytest.raises(asyncpg.CheckViolationError):
        query(cluster, f"update fact set words = 'forbidden' where words = '{MARKER}'")
    with pytest.raises(asyncpg.InvalidTextRepresentationError, match=MARKER):
        query(cluster, "select $1::text::uuid", MARKER)
    with pytest.raises(asyncpg.RaiseError, match=MARKER):
        query(cluster, f"do $$ begin raise warning '{MARKER}'; raise exception '{MARKER}'; end $$")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        query(cluster, f"selekt '{MARKER}'")
    postgres.stop(folder / "quiet")

    said = (folder / "quiet" / "postgres.log").read_text()
    assert "ready to accept connections" in said
    assert "a-prompt" not in said
