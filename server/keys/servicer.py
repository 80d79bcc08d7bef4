"""KeyService: protobuf in, protobuf out."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from babysea.keys.v1 import key_service_pb2 as pb
from babysea.keys.v1 import key_service_pb2_grpc
from babysea.keys.v1.keys_pb2 import ApiKey
from kit.clock import Clock
from kit.errors import BabySeaError
from server.keys.allowlist import allows
from server.keys.creation import create_key
from server.keys.hashing import KeyHasher
from server.keys.listing import get_key, list_keys
from server.keys.revocation import revoke_key
from server.keys.secrets import shown_prefix
from server.keys.store import KeyRecord
from server.keys.verification import KeyVerifier
from server.runtime.context import RpcContext
from server.runtime.identity import key_holder
from server.runtime.paging import page_info, page_of


class KeyServicer(key_service_pb2_grpc.KeyServiceServicer):
    """Serves babysea.keys.v1.KeyService."""

    def __init__(
        self, engine: AsyncEngine, hasher: KeyHasher, verifier: KeyVerifier, region: str, clock: Clock
    ) -> None:
        self._engine = engine
        self._hasher = hasher
        self._verifier = verifier
        self._region = region
        self._clock = clock

    async def CreateKey(self, request: pb.CreateKeyRequest, context: RpcContext) -> pb.CreateKeyResponse:  # noqa: N802
        """Makes a key."""
        record, secret = await create_key(
            self._engine,
            self._hasher,
            self._clock,
            self._region,
            account_id=UUID(request.account_id),
            name=request.name,
            preset=request.preset,
            scopes=request.scopes,
            allowlist=request.allowlist,
            expires_at=_moment(request.expires_at) if request.HasField("expires_at") else None,
        )
        return pb.CreateKeyResponse(key=self._shown(record), secret=secret)

    async def ListKeys(self, request: pb.ListKeysRequest, context: RpcContext) -> pb.ListKeysResponse:  # noqa: N802
        """Keys of an account, newest first."""
        page = page_of(request.page, key_parts=2)
        found = await list_keys(self._engine, UUID(request.account_id), page)
        return pb.ListKeysResponse(
            keys=[self._shown(record) for record in found.keys],
            page=page_info(page, found.total, found.next_token),
        )

    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: RpcContext) -> pb.RevokeKeyResponse:  # noqa: N802
        """Ends a key."""
        record = await revoke_key(
            self._engine, self._verifier, UUID(request.account_id), UUID(request.key_id)
        )
        return pb.RevokeKeyResponse(key=self._shown(record))

    async def AuthenticateKey(  # noqa: N802
        self, request: pb.AuthenticateKeyRequest, context: RpcContext
    ) -> pb.AuthenticateKeyResponse:
        """Verifies a key for another service of ours."""
        holder = await self._verifier.verify(request.secret)
        if request.client_address and not allows(holder.allowlist, request.client_address):
            raise BabySeaError(error_reason_pb2.ERROR_REASON_IP_NOT_ALLOWED)
        record = await get_key(self._engine, holder.account_id, holder.key_id)
        return pb.AuthenticateKeyResponse(key=self._shown(record))

    async def GetCallerKey(  # noqa: N802
        self, request: pb.GetCallerKeyRequest, context: RpcContext
    ) -> pb.GetCallerKeyResponse:
        """The key that makes this call."""
        holder = key_holder()
        record = await get_key(self._engine, holder.account_id, holder.key_id)
        return pb.GetCallerKeyResponse(key=self._shown(record))

    def _shown(self, record: KeyRecord) -> ApiKey:
        return ApiKey(
            key_id=str(record.id),
            account_id=str(record.account_id),
            name=record.name,
            prefix=shown_prefix(self._region, record.public_id),
            scopes=record.scopes,
            allowlist=record.allowlist,
            created_at=_timestamp(record.created_at),
            last_used_at=_timestamp(record.last_used_at),
            expires_at=_timestamp(record.expires_at),
            revoked_at=_timestamp(record.revoked_at),
        )


def _timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
