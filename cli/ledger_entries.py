"""What the ledger wrote about one generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from babysea.common.v1 import paging_pb2
from babysea.ledger.v1 import ledger_pb2, ledger_service_pb2

if TYPE_CHECKING:
    from cli.grpc_client import Operator


def entries_of(operator: Operator, account_id: str, generation_id: str) -> list[ledger_pb2.Entry]:
    """The journal rows of a generation's hold, oldest first.

    Raises:
        CliError: the region refused or does not answer.
    """
    request = ledger_service_pb2.ListEntriesRequest(
        account_id=account_id, hold_id=generation_id, page=paging_pb2.PageRequest(page_size=100)
    )
    answer = operator.call(operator.ledger.list_entries, request)
    return sorted(answer.entries, key=lambda entry: entry.version)


def captured_micros(entries: Sequence[ledger_pb2.Entry]) -> int:
    """Micro-dollars that were taken for good."""
    return sum(entry.amount_micros for entry in entries if entry.kind == ledger_pb2.ENTRY_KIND_CAPTURE)


def as_json(entry: ledger_pb2.Entry) -> dict[str, object]:
    """One journal row for programs."""
    return {
        "version": entry.version,
        "kind": kind(entry),
        "amount_micros": entry.amount_micros,
        "posted_delta_micros": entry.posted_delta_micros,
        "held_delta_micros": entry.held_delta_micros,
        "posted_after_micros": entry.posted_after_micros,
        "held_after_micros": entry.held_after_micros,
        "created_at": entry.created_at.ToJsonString(),
        "hash": entry.hash.hex(),
    }


def kind(entry: ledger_pb2.Entry) -> str:
    """The word for a row: "hold", "capture", "release" or "grant"."""
    return ledger_pb2.EntryKind.Name(entry.kind).removeprefix("ENTRY_KIND_").lower()
