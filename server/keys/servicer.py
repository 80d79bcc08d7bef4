"""KeyService: protobuf in, protobuf out."""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from babysea.keys.v1 import key_service_pb2 as pb
from babysea.keys.v1 import key_service_pb2_grpc
from babysea.keys.v1.keys_pb2 import ApiKey
from kit.clock import Clock
from kit.errors import BabySeaError
from server.keys.allowlist import allows
from server.keys.creation import create_key
from server.keys.deletion import delete_key
from server.keys.explanation import Explainer, Peek, answer, asked
from server.keys.hashing import KeyHasher
from server.keys.listing import get_key, list_keys
from server.keys.notices import KeyNotices
from server.keys.revocation import revoke_key
from server.keys.rotation import GRACE_HOURS, rotate_key
from server.keys.shown import shown
from server.keys.store import KeyRecord
from server.keys.verification import KeyVerifier
from server.runtime.context import RpcContext
from server.runtime.identity import KeyHolder, actor, key_holder
from server.runtime.paging import page_info, page_of


class KeyServicer(key_service_pb2_grpc.KeyServiceServicer):
    """Serves babysea.keys.v1.KeyService."""

    def __init__(
        self,
        engine: AsyncEngine,
        hasher: KeyHasher,
        verifier: KeyVerifier,
        region: str,
        clock: Clock,
        notices: KeyNotices,
        peek: Peek | None = None,
    ) -> None:
        """Takes what keys are made, told of and verified with; `peek` tells where an account stands in its minute."""
        self._engine = engine
        self._hasher = hasher
        self._verifier = verifier
        self._region = region
        self._clock = clock
        self._notices = notices
        self._explainer = Explainer(engine, hasher, region, clock, peek)

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
            expires_at=request.expires_at.ToDatetime(tzinfo=UTC) if request.HasField("expires_at") else None,
            actor=actor(),
            notices=self._notices,
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

    async def GetKey(self, request: pb.GetKeyRequest, context: RpcContext) -> pb.GetKeyResponse:  # noqa: N802
        """One key of an account."""
        record = await get_key(self._engine, UUID(request.account_id), UUID(request.key_id))
        return pb.GetKeyResponse(key=self._shown(record))

    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: RpcContext) -> pb.RevokeKeyResponse:  # noqa: N802
        """Ends a key."""
        record = await revoke_key(
            self._engine,
            self._verifier,
            UUID(request.account_id),
            UUID(request.key_id),
            actor=actor(),
            notices=self._notices,
        )
        return pb.RevokeKeyResponse(key=self._shown(record))

    async def RotateKey(self, request: pb.RotateKeyRequest, context: RpcContext) -> pb.RotateKeyResponse:  # noqa: N802
        """Makes a key that takes another one's place."""
        done = await rotate_key(
            self._engine,
            self._hasher,
            self._verifier,
            self._clock,
            self._region,
            account_id=UUID(request.account_id),
            key_id=UUID(request.key_id),
            grace_hours=request.grace_hours if request.HasField("grace_hours") else GRACE_HOURS,
            actor=actor(),
            notices=self._notices,
        )
        return pb.RotateKeyResponse(
            key=self._shown(done.key), secret=done.secret, rotated=self._shown(done.rotated)
        )

    async def DeleteKey(self, request: pb.DeleteKeyRequest, context: RpcContext) -> pb.DeleteKeyResponse:  # noqa: N802
        """Removes a key."""
        await delete_key(
            self._engine,
            self._verifier,
            UUID(request.account_id),
            UUID(request.key_id),
            actor=actor(),
            notices=self._notices,
        )
        return pb.DeleteKeyResponse()

    async def ExplainAccess(  # noqa: N802
        self, request: pb.ExplainAccessRequest, context: RpcContext
    ) -> pb.ExplainAccessResponse:
        """Says which check would decide a customer's call."""
        explanation = await self._explainer.explain(asked(request))
        response = answer(explanation)
        if explanation.state is not None:
            record = await get_key(self._engine, explanation.state.account_id, explanation.state.id)
            response.key.CopyFrom(self._shown(record))
        return response

    async def AuthenticateKey(  # noqa: N802
        self, request: pb.AuthenticateKeyRequest, context: RpcContext
    ) -> pb.AuthenticateKeyResponse:
        """Verifies a key for another service of ours."""
        holder = await self._verifier.verify(request.secret)
        if request.client_address and not allows(holder.allowlist, request.client_address):
            raise BabySeaError(error_reason_pb2.ERROR_REASON_IP_NOT_ALLOWED)
        record = await self._record_of(holder)
        return pb.AuthenticateKeyResponse(key=self._shown(record))

    async def GetCallerKey(  # noqa: N802
        self, request: pb.GetCallerKeyRequest, context: RpcContext
    ) -> pb.GetCallerKeyResponse:
        """The key that makes this call."""
        holder = key_holder()
        record = await self._record_of(holder)
        return pb.GetCallerKeyResponse(key=self._shown(record))

    async def _record_of(self, holder: KeyHolder) -> KeyRecord:
        try:
            return await get_key(self._engine, holder.account_id, holder.key_id)
        except BabySeaError as error:
            if error.reason != error_reason_pb2.ERROR_REASON_NOT_FOUND:
                raise
        # Deleted since it was verified.
        raise BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED)

    def _shown(self, record: KeyRecord) -> ApiKey:
        return shown(record, self._region, self._clock.now())
