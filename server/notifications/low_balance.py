"""Low-balance alerts: one per crossing of a threshold, found after the money moved. Admission does nothing for them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.notifications.posting import notify, post_email, seal_letter
from server.runtime.database import system_transaction
from server.runtime.encryption import DecryptionError, Envelope
from server.runtime.repeating import Repeating

_SECONDS = 2.0
_OVERLAP = timedelta(seconds=20)
"""Longer than the longest statement: an event becomes visible at most that much after the time in it."""
_ROUND = timedelta(minutes=10)
"""Every account is looked at so often, whatever events say: thresholds change, and some movements write no event."""
_BATCH = 50
_MICROS = 1_000_000
_log = logging.getLogger(__name__)

_CROSSING = text(
    "select notifications.crossing_accounts(cast(:overlap as interval), cast(:round as interval), cast(:limit as int))"
)
_CROSS = text(
    "select threshold_micros, crossing, balance_micros from notifications.cross_thresholds(cast(:account as uuid))"
)
_ADDRESSEE = text(
    "select owner_id, name_ct, in_app, email, webhook from notifications.alert_addressee(cast(:account as uuid))"
)


@dataclass(frozen=True, slots=True)
class Fired:
    """A threshold that the balance went below, in micro-dollars."""

    threshold: int
    crossing: int
    """How often it was crossed, this time included."""
    balance: int


class LowBalance(Repeating):
    """Looks for balances that went below a threshold; a context manager around a worker's run."""

    def __init__(
        self,
        engine: AsyncEngine,
        envelope: Envelope,
        *,
        seconds: float = _SECONDS,
        every: timedelta = _ROUND,
        batch: int = _BATCH,
    ) -> None:
        """Takes the workers' engine; `every` is the time between two rounds, `batch` the most accounts of a look."""
        super().__init__("low balance", seconds, trouble="balances could not be looked at yet")
        self._engine = engine
        self._envelope = envelope
        self._every = every
        self._batch = batch

    async def once(self) -> float | None:
        """Looks once; at once again when there may be more."""
        return 0 if await self.work() == self._batch else None

    async def work(self) -> int:
        """Crosses what is to be crossed, in one transaction with its notices; how many accounts that were."""
        with suppress_instrumentation():
            async with system_transaction(self._engine) as connection:
                values = {"overlap": _OVERLAP, "round": self._every, "limit": self._batch}
                accounts = [UUID(str(row[0])) for row in await connection.execute(_CROSSING, values)]
                for account_id in accounts:
                    try:
                        async with connection.begin_nested():
                            await self._cross(connection, account_id)
                    except Exception:  # noqa: BLE001 - one account must not stop the others
                        # It stays as it was, and the next round finds it again.
                        _log.exception("a threshold could not be crossed")
                return len(accounts)

    async def _cross(self, connection: AsyncConnection, account_id: UUID) -> None:
        fired = [Fired(*row) for row in await connection.execute(_CROSS, {"account": account_id})]
        if not fired:
            return
        addressee = (await connection.execute(_ADDRESSEE, {"account": account_id})).one_or_none()
        if addressee is None or addressee.owner_id is None:
            return
        for each in fired:
            event_key = f"low_balance:{account_id}:{each.threshold}:{each.crossing}"
            if addressee.in_app:
                await notify(
                    connection,
                    account_id=account_id,
                    person_ids=[addressee.owner_id],
                    category="credit",
                    kind="credits.low_balance",
                    event_key=event_key,
                    data={"balance_micros": each.balance, "threshold_micros": each.threshold},
                )
        if addressee.email:
            await self._write(connection, account_id, addressee.owner_id, bytes(addressee.name_ct), fired)

    async def _write(
        self,
        connection: AsyncConnection,
        account_id: UUID,
        owner_id: UUID,
        name_ct: bytes,
        fired: list[Fired],
    ) -> None:
        """One e-mail for all that was crossed at once; it names the lowest."""
        lowest = fired[-1]
        try:
            name = await self._envelope.open(account_id, "account.name", account_id, name_ct)
            letter = await seal_letter(
                self._envelope,
                template="credits.low_balance",
                event_key=f"low_balance:{account_id}:{lowest.threshold}:{lowest.crossing}",
                data={
                    "account": name.decode(),
                    "balance": in_credits(lowest.balance),
                    "threshold": in_credits(lowest.threshold),
                },
                sealed_by=account_id,
                person_id=owner_id,
                account_id=account_id,
            )
        except DecryptionError:
            # The account is being erased; whoever is left of it reads of it in the app.
            _log.warning("an account's name could not be read for its alert")
            return
        await post_email(connection, letter)


def in_credits(micros: int) -> str:
    """Micro-dollars as credits with three decimals, rounded down: never more than there is."""
    return f"{Decimal(micros // 1000) / 1000:.3f}"
