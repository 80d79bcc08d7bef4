"""The ledger over gRPC: protobuf in, protobuf out, nothing else."""

from __future__ import annotations

from uuid import UUID

from babysea.ledger.v1 import ledger_pb2, ledger_service_pb2, ledger_service_pb2_grpc
from server.ledger import movement, reading, store
from server.runtime.context import RpcContext
from server.runtime.database import Databases
from server.runtime.paging import page_info, page_of

_KINDS = {
    "h": ledger_pb2.ENTRY_KIND_HOLD,
    "c": ledger_pb2.ENTRY_KIND_CAPTURE,
    "r": ledger_pb2.ENTRY_KIND_RELEASE,
    "g": ledger_pb2.ENTRY_KIND_GRANT,
}


class LedgerServicer(ledger_service_pb2_grpc.LedgerServiceServicer):
    """Serves babysea.ledger.v1.LedgerService."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    async def Reserve(  # noqa: N802
        self, request: ledger_service_pb2.ReserveRequest, context: RpcContext
    ) -> ledger_service_pb2.ReserveResponse:
        """Sets money aside."""
        word = await movement.reserve(
            self._databases.worker,
            UUID(request.account_id),
            UUID(request.hold_id),
            request.amount_micros,
            request.ttl_seconds,
            request.fingerprint,
        )
        return ledger_service_pb2.ReserveResponse(result=word)

    async def Capture(  # noqa: N802
        self, request: ledger_service_pb2.CaptureRequest, context: RpcContext
    ) -> ledger_service_pb2.CaptureResponse:
        """Takes held money."""
        word = await movement.capture(self._databases.worker, UUID(request.hold_id), request.amount_micros)
        return ledger_service_pb2.CaptureResponse(result=word)

    async def Release(  # noqa: N802
        self, request: ledger_service_pb2.ReleaseRequest, context: RpcContext
    ) -> ledger_service_pb2.ReleaseResponse:
        """Returns held money."""
        word = await movement.release(self._databases.worker, UUID(request.hold_id))
        return ledger_service_pb2.ReleaseResponse(result=word)

    async def GrantCredit(  # noqa: N802
        self, request: ledger_service_pb2.GrantCreditRequest, context: RpcContext
    ) -> ledger_service_pb2.GrantCreditResponse:
        """Adds money."""
        account_id = UUID(request.account_id)
        word = await movement.grant(
            self._databases.worker, account_id, request.amount_micros, request.idempotency_key
        )
        response = ledger_service_pb2.GrantCreditResponse(result=word)
        if word != "no_account":
            balance = await reading.balance(self._databases.app, account_id)
            response.balance.CopyFrom(_balance(account_id, balance))
        return response

    async def GetBalance(  # noqa: N802
        self, request: ledger_service_pb2.GetBalanceRequest, context: RpcContext
    ) -> ledger_service_pb2.GetBalanceResponse:
        """Shows what an account has."""
        account_id = UUID(request.account_id)
        balance = await reading.balance(self._databases.app, account_id)
        return ledger_service_pb2.GetBalanceResponse(balance=_balance(account_id, balance))

    async def ListEntries(  # noqa: N802
        self, request: ledger_service_pb2.ListEntriesRequest, context: RpcContext
    ) -> ledger_service_pb2.ListEntriesResponse:
        """Shows journal rows."""
        page = page_of(request.page, key_parts=1)
        hold_id = UUID(request.hold_id) if request.hold_id else None
        rows, total, token = await reading.entries(
            self._databases.app, UUID(request.account_id), hold_id, page
        )
        return ledger_service_pb2.ListEntriesResponse(
            entries=[_entry(row) for row in rows], page=page_info(page, total, token)
        )

    async def AuditLedger(  # noqa: N802
        self, request: ledger_service_pb2.AuditLedgerRequest, context: RpcContext
    ) -> ledger_service_pb2.AuditLedgerResponse:
        """Checks every invariant."""
        findings, accounts, rows = await store.audit(self._databases.worker)
        return ledger_service_pb2.AuditLedgerResponse(
            findings=[ledger_pb2.Finding(invariant=name, subject=subject) for name, subject in findings],
            accounts=accounts,
            entries=rows,
        )


def _balance(account_id: UUID, row: store.BalanceRow) -> ledger_pb2.Balance:
    return ledger_pb2.Balance(
        account_id=str(account_id),
        posted_micros=row.posted,
        held_micros=row.held,
        available_micros=row.available,
        version=row.version,
        open_holds=row.open_holds,
    )


def _entry(row: store.EntryRow) -> ledger_pb2.Entry:
    entry = ledger_pb2.Entry(
        version=row.version,
        kind=_KINDS[row.kind],
        amount_micros=row.amount,
        posted_delta_micros=row.posted_delta,
        held_delta_micros=row.held_delta,
        posted_after_micros=row.posted_after,
        held_after_micros=row.held_after,
        hold_id=str(row.hold_id) if row.hold_id else "",
        idempotency_key=row.idem_key or "",
        hash=row.hash,
    )
    entry.created_at.FromDatetime(row.created_at)
    return entry
