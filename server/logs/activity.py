"""Noting what was done to an account, in the transaction that does it."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from server.logs import store


async def note_activity(
    connection: AsyncConnection,
    *,
    account_id: UUID,
    actor: UUID | None,
    category: str,
    action: str,
    target: UUID | None = None,
    details: Mapping[str, str | int] | None = None,
) -> None:
    """Notes one thing that was done; it is there exactly when the change is.

    Args:
        connection: the transaction of the change, of the request path or of a worker.
        account_id: the account that it was done to; the transaction's own where it has one.
        actor: the member who did it; None for the system.
        category: one of the contract's categories, for example "api_key".
        action: what was done, for example "created"; a short word in snake case.
        target: what it was done to; None when that is the account itself.
        details: ids, words of ours and counts; never personal data, never what a customer wrote.
    """
    await store.note_activity(connection, account_id, actor, category, action, target, dict(details or {}))
