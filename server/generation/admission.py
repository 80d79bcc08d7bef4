"""Admission: everything that must be true before a generation exists, and the one transaction that makes it.

No provider is called here, so a slow or dead provider never slows a POST and a crash never loses a paid request.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import generation_pb2, generation_service_pb2
from kit.clock import Clock
from kit.errors import BabySeaError, invalid
from kit.ids import derived_uuid7, uuid7
from kit.settings import Region
from kit.telemetry import GENERATION_ATTRIBUTE, span, traceparent
from server.catalog import Catalog, Model
from server.generation import store
from server.generation.pricing import price_micros
from server.generation.reading import Reading, Record
from server.generation.records import REQUEST_PURPOSE, Records
from server.generation.request import GenerationRequest, check_deadline, normalise
from server.providers.serving import served_by_none
from server.routing.planning import plan_order, resident_order
from server.runtime.combiner import Combiner
from server.runtime.database_errors import is_locked, rolled_back, safe_error
from server.runtime.encryption import Envelope
from server.runtime.identity import KeyHolder

_REFUSALS = {
    "insufficient": error_reason_pb2.ERROR_REASON_INSUFFICIENT_CREDITS,
    "concurrency_limit": error_reason_pb2.ERROR_REASON_CONCURRENCY_LIMIT_EXCEEDED,
    "residency_unsatisfiable": error_reason_pb2.ERROR_REASON_RESIDENCY_UNSATISFIABLE,
    "frozen": error_reason_pb2.ERROR_REASON_ACCOUNT_RESTRICTED,
    "key_inactive": error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED,
    "no_account": error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND,
    "key_conflict": error_reason_pb2.ERROR_REASON_IDEMPOTENCY_KEY_CONFLICT,
    "conflict": error_reason_pb2.ERROR_REASON_CONFLICT,
    "bad_amount": error_reason_pb2.ERROR_REASON_INTERNAL_ERROR,
}
_RETRY_AFTER_SECONDS = "1"
_log = logging.getLogger(__name__)
_DATABASE_ERRORS = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


@dataclass(frozen=True, slots=True)
class Admitted:
    """An admitted generation."""

    generation: generation_pb2.Generation
    replayed: bool
    """Whether an earlier request with the same Idempotency-Key made it."""


class AdmissionDesk:
    """Admits generations."""

    def __init__(
        self,
        catalog: Catalog,
        envelope: Envelope,
        combiner: Combiner[store.Admission, store.Verdict],
        reading: Reading,
        clock: Clock,
        region: Region,
        *,
        allow_private_inputs: bool = False,
    ) -> None:
        self._allow_private_inputs = allow_private_inputs
        self._catalog = catalog
        self._envelope = envelope
        self._combiner = combiner
        self._reading = reading
        self._clock = clock
        self._region = region

    async def admit(
        self, holder: KeyHolder, message: generation_service_pb2.CreateGenerationRequest
    ) -> Admitted:
        """Admits a request, or answers a repeated one from its record.

        Raises:
            BabySeaError: the request is malformed, not affordable, over a limit, not to be had in the account's
                region although it must be, or its Idempotency-Key was used otherwise. Nothing was written and nothing was charged.
        """
        seed = _seed(message.request_id)
        request = normalise(self._catalog, message, allow_private=self._allow_private_inputs)
        model = self._catalog.model(request.model_identifier)
        deadline_seconds = check_deadline(model, message)
        plan = plan_order(model, message.provider_order)
        _refuse_unserved(model, plan.providers, request)
        # The account's setting is read where the money is held, so both orders go there.
        resident = resident_order(self._catalog, model, self._region, plan.providers, request)
        generation_id = derived_uuid7(seed, b"generation", holder.account_id.bytes)
        now = self._clock.now()
        card = model.card_at(now)
        with span("admission", attributes={GENERATION_ATTRIBUTE: str(generation_id)}):
            canonical = request.to_json()
            item = store.Admission(
                account=holder.account_id,
                id=generation_id,
                api_key=holder.key_id,
                key=self._claim_key(holder.account_id, request, message.idempotency_key),
                fingerprint=self._fingerprint(holder.account_id, canonical, message),
                amount=price_micros(model, request, card),
                rate_card=card.version,
                deadline=now + timedelta(seconds=deadline_seconds),
                plan=holder.plan,
                model=model.identifier,
                media=request.media,
                provider_order=",".join(plan.providers),
                prediction=uuid7(),
                request=await self._envelope.seal(
                    holder.account_id, REQUEST_PURPOSE, generation_id, canonical
                ),
                trace=traceparent(),
                resident_order=",".join(resident),
            )
            verdict = await self._decide(item)
        if verdict.word == "held":
            providers = resident if verdict.strict else plan.providers
            return Admitted(_pending(request, item, verdict, providers), replayed=False)
        if verdict.generation_id is not None and (
            verdict.word == "replayed" or verdict.word.startswith("already_")
        ):
            record = await self._recorded(holder.account_id, verdict.generation_id)
            return Admitted(record.generation, replayed=verdict.word == "replayed" and item.key is not None)
        raise self._refusal(verdict.word, holder)

    async def _recorded(self, account_id: UUID, generation_id: UUID) -> Record:
        """The record of a generation that is admitted for certain, whatever becomes of this look at it."""
        try:
            return await self._reading.get(account_id, generation_id)
        except _DATABASE_ERRORS:
            # The first connection after a restart of the database is a dead one.
            try:
                return await self._reading.get(account_id, generation_id)
            except _DATABASE_ERRORS as error:
                _log.exception("an admitted generation could not be read")
                safe = safe_error(error)
                safe.details["outcome"] = "unknown"
                raise safe from None

    async def _decide(self, item: store.Admission) -> store.Verdict:
        try:
            return await self._combiner.submit(item, item.account.int)
        except _DATABASE_ERRORS as error:
            # The account's row stayed locked for the 2 s that a repeated key waits for its first request.
            if is_locked(error):
                if item.key is not None:
                    raise BabySeaError(error_reason_pb2.ERROR_REASON_IDEMPOTENCY_IN_PROGRESS) from None
                raise
            first = error
        # Once more with the same id: after a restart of the database the pool's first connection is a dead one, and a
        # commit whose answer was lost is answered from its record.
        try:
            return await self._combiner.submit(item, item.account.int)
        except _DATABASE_ERRORS as error:
            _log.exception("an admission met a fault of the database")
            safe = safe_error(error)
            if not (rolled_back(first) and rolled_back(error)):
                # The commit may have happened: only asking again with the same request id is safe.
                safe.details["outcome"] = "unknown"
            raise safe from None

    def _claim_key(self, account_id: UUID, request: GenerationRequest, idempotency_key: str) -> bytes | None:
        if not idempotency_key:
            return None
        scope = f"{request.media}\n{request.model_identifier}\n{idempotency_key}"
        return self._envelope.keyed_hash("idempotency-key", account_id.bytes + scope.encode())

    def _fingerprint(
        self, account_id: UUID, canonical: bytes, message: generation_service_pb2.CreateGenerationRequest
    ) -> bytes:
        # With the account inside, equal requests of two tenants leave nothing equal behind.
        content = account_id.bytes + canonical + b"\x00" + message.provider_order.encode()
        if message.HasField("deadline_seconds"):
            content += b"\x00" + str(message.deadline_seconds).encode()
        return self._envelope.keyed_hash("generation-request", content)

    def _refusal(self, word: str, holder: KeyHolder) -> BabySeaError:
        details = {}
        if word == "concurrency_limit":
            limit = self._catalog.plan(holder.plan).in_flight
            details = {"retry_after_seconds": _RETRY_AFTER_SECONDS, "limit": str(limit)}
        return BabySeaError(_REFUSALS[word], details=details)


def _refuse_unserved(model: Model, providers: Sequence[str], request: GenerationRequest) -> None:
    unserved = served_by_none(model, providers, request)
    if unserved is not None:
        names = ", ".join(providers)
        raise invalid(
            unserved.field,
            f"No provider of the order can serve this {unserved.field} of {model.identifier}: {names}.",
        )


def _seed(request_id: str) -> UUID:
    seed = UUID(request_id)
    if seed.version != 7:
        raise invalid("request_id", "The request id must be a UUIDv7.")
    return seed


def _pending(
    request: GenerationRequest, item: store.Admission, verdict: store.Verdict, providers: tuple[str, ...]
) -> generation_pb2.Generation:
    message = Records.fresh(str(item.id), str(item.account), request)
    message.provider_order.extend(providers)
    message.prediction_id = str(item.prediction)
    message.price_micros = item.amount
    message.created_at.FromDatetime(verdict.decided_at)
    message.deadline_at.FromDatetime(item.deadline)
    return message
