"""Creates a generation, and never leaves the client guessing whether it did."""

from __future__ import annotations

import asyncio
import random
import time

from fastapi import Request, Response

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import generation_service_pb2 as generation
from gateway.body import read_object
from gateway.envelope import success
from gateway.errors import RefusalError
from gateway.exchange import Exchange, exchange_of
from gateway.methods import CREATE_GENERATION
from gateway.upstream import RegionError, Upstream, refuse, upstream_of
from gateway.v1.models import check_identifier
from gateway.v1.records import created
from gateway.v1.requests import PREFIX, Body, CreateImage, CreateVideo, create_request
from gateway.v1.responses import CanceledData, CreatedData, Envelope
from gateway.v1.routing import parameter, v1_router
from kit.errors import BabySeaError
from kit.ids import uuid7

router = v1_router()

_ATTEMPTS = 3
_TOTAL_SECONDS = 15.0
_CONNECT_SECONDS = 3.0
_PAUSE_SECONDS = 0.1
_IDEMPOTENCY_KEY = parameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[A-Za-z0-9_\\-:.]{1,255}$"},
    "Makes repeating the request safe for 24 hours.",
    where="header",
)


def _documented(model: type[Body]) -> dict[str, object]:
    schema = {**model.model_json_schema(), "patternProperties": {f"^{PREFIX}": {}}}
    content = {"application/json": {"schema": schema}}
    return {"parameters": [_IDEMPOTENCY_KEY], "requestBody": {"required": True, "content": content}}


@router.post(
    "/generate/image/{model_identifier:path}",
    response_model=Envelope[CreatedData | CanceledData],
    openapi_extra=_documented(CreateImage),
)
async def generate_image(request: Request, model_identifier: str) -> Response:
    """Accepts an image generation: the price is held, the work begins, and the record tells the rest."""
    return await _generate(request, model_identifier, CreateImage)


@router.post(
    "/generate/video/{model_identifier:path}",
    response_model=Envelope[CreatedData | CanceledData],
    openapi_extra=_documented(CreateVideo),
)
async def generate_video(request: Request, model_identifier: str) -> Response:
    """Accepts a video generation: the price is held, the work begins, and the record tells the rest."""
    return await _generate(request, model_identifier, CreateVideo)


async def _generate(request: Request, model_identifier: str, model: type[Body]) -> Response:
    exchange, upstream = exchange_of(request), upstream_of(request)
    try:
        check_identifier(model_identifier)
        body = await read_object(request)
        order = create_request(model, model_identifier, body, request.headers, uuid7())
    except BabySeaError as error:
        unacceptable = generation.CreateGenerationRequest()
        raise await refuse(upstream, exchange, CREATE_GENERATION, unacceptable, error) from None
    answer = await place(upstream, exchange, order)
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
    return success(exchange, "Generation initialized", created(answer.generation), headers=headers)


async def place(
    upstream: Upstream, exchange: Exchange, order: generation.CreateGenerationRequest
) -> generation.CreateGenerationResponse:
    """Asks the region to admit a generation; asks again with the same request id when it is unclear whether it did.

    The region answers a repeated request id from its record, so asking again never admits twice.

    Raises:
        BabySeaError: the region refused, or nothing was admitted for certain.
        RefusalError: it stayed unclear; the reply then says that repeating is not safe.
    """
    ends = time.monotonic() + min(_TOTAL_SECONDS, exchange.remaining())
    unclear: BabySeaError | None = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            await asyncio.sleep(_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1))  # noqa: S311
        patience = _CONNECT_SECONDS if unclear is None else _TOTAL_SECONDS
        if not await upstream.connected(min(patience, max(0.0, ends - time.monotonic()))):
            break
        try:
            seconds = max(0.1, ends - time.monotonic())
            return await upstream.call(exchange, CREATE_GENERATION, order, seconds=seconds)
        except RegionError as error:
            if error.undecided:
                unclear = error
            elif unclear is None or not error.spec.retryable:
                raise
            # A refusal that invites repeating says nothing about the earlier, unclear attempt.
    if unclear is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE)
    raise _unclear(unclear)


def _unclear(last: BabySeaError) -> RefusalError:
    reason = error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE
    if last.reason == error_reason_pb2.ERROR_REASON_DEADLINE_EXCEEDED:
        reason = last.reason
    message = "The generation may have been accepted. Look for it in the list of generations before sending it again."
    return RefusalError(BabySeaError(reason, message), retryable=False)
