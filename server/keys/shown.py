"""Keys as the contract shows them."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from babysea.keys.v1.keys_pb2 import ApiKey
from server.keys.lifecycle import status
from server.keys.secrets import shown_prefix
from server.keys.store import KeyRecord


def shown(record: KeyRecord, region: str, now: datetime) -> ApiKey:
    """A key of a region, with its status at a time."""
    return ApiKey(
        key_id=str(record.id),
        account_id=str(record.account_id),
        name=record.name,
        prefix=shown_prefix(region, record.public_id),
        scopes=record.scopes,
        allowlist=record.allowlist,
        created_at=_timestamp(record.created_at),
        last_used_at=_timestamp(record.last_used_at),
        expires_at=_timestamp(record.expires_at),
        revoked_at=_timestamp(record.revoked_at),
        status=status(record, now),
        rotated_at=_timestamp(record.rotated_at),
        replaced_by=str(record.replaced_by) if record.replaced_by is not None else "",
    )


def _timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
