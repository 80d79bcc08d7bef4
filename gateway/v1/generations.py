"""Generations of the key's account: one, all of them, what became of one, and the end of one."""

from __future__ import annotations

from fastapi import Request, Response

from babysea.common.v1 import error_reason_pb2, paging_pb2
from babysea.generation.v1 import generation_service_pb2 as generation
from gateway.envelope import success
from gateway.exchange import exchange_of
from gateway.methods import (
    CANCEL_GENERATION,
    DELETE_GENERATION,
    GET_GENERATION,
    GET_TIMELINE,
    LIST_GENERATIONS,
)
from gateway.upstream import RegionError, refuse, upstream_of
from gateway.v1 import query
from gateway.v1.records import record
from gateway.v1.responses import (
    CancelData,
    DeleteData,
    Envelope,
    ListEnvelope,
    RecordData,
    RecordsData,
    TimelineData,
)
from gateway.v1.routing import parameter, v1_router
from gateway.v1.timeline import timeline
from kit.errors import BabySeaError

router = v1_router()
_DEFAULT_LIMIT = 50
_MOST = 100
_FARTHEST = 2**31 - 1
_ABSENT = BabySeaError(error_reason_pb2.ERROR_REASON_GENERATION_NOT_FOUND)


@router.get(
    "/content/list",
    response_model=ListEnvelope[RecordsData],
    openapi_extra={
        "parameters": [
            parameter("limit", {"type": "integer", "default": _DEFAULT_LIMIT}, "Rows; clamped to 1..100."),
            parameter("offset", {"type": "integer", "default": 0}, "Rows to skip from the newest."),
        ]
    },
)
async def list_generations(request: Request) -> Response:
    """Generations, newest first."""
    exchange, upstream = exchange_of(request), upstream_of(request)
    try:
        parameters = request.query_params
        page = paging_pb2.PageRequest(
            page_size=query.whole_number(parameters, "limit", default=_DEFAULT_LIMIT, low=1, high=_MOST),
            offset=query.whole_number(parameters, "offset", default=0, low=0, high=_FARTHEST),
        )
    except BabySeaError as error:
        unacceptable = generation.ListGenerationsRequest(page=paging_pb2.PageRequest(offset=-1))
        raise await refuse(upstream, exchange, LIST_GENERATIONS, unacceptable, error) from None
    question = generation.ListGenerationsRequest(page=page)
    answer = await upstream.call(exchange, LIST_GENERATIONS, question)
    data: RecordsData = {"generations": [record(one) for one in answer.generations]}
    beside = {"total": answer.page.total, "limit": page.page_size, "offset": page.offset}
    return success(exchange, "Generations retrieved successfully", data, beside=beside)


@router.get("/content/{generation_id}", response_model=Envelope[RecordData])
async def get_generation(request: Request, generation_id: str) -> Response:
    """One generation."""
    exchange = exchange_of(request)
    exchange.refused = _ABSENT.spec.bse_code
    question = generation.GetGenerationRequest(generation_id=generation_id)
    try:
        answer = await upstream_of(request).call(exchange, GET_GENERATION, question)
    except RegionError as error:
        raise _same_if_absent(error) from None
    return success(exchange, "Generation retrieved successfully", record(answer.generation))


@router.get("/content/{generation_id}/timeline", response_model=Envelope[TimelineData])
async def get_timeline(request: Request, generation_id: str) -> Response:
    """What became of one generation: every state change, attempt and decision, oldest first."""
    exchange = exchange_of(request)
    exchange.refused = _ABSENT.spec.bse_code
    question = generation.GetTimelineRequest(generation_id=generation_id)
    try:
        answer = await upstream_of(request).call(exchange, GET_TIMELINE, question)
    except RegionError as error:
        raise _same_if_absent(error) from None
    return success(exchange, "Generation timeline retrieved successfully", timeline(answer))


@router.delete("/content/{generation_id}", response_model=Envelope[DeleteData])
async def delete_generation(request: Request, generation_id: str) -> Response:
    """Removes a generation and its files; one that has not ended is canceled first."""
    exchange = exchange_of(request)
    exchange.refused = _ABSENT.spec.bse_code
    question = generation.DeleteGenerationRequest(generation_id=generation_id)
    try:
        answer = await upstream_of(request).call(exchange, DELETE_GENERATION, question)
    except RegionError as error:
        raise _same_if_absent(error) from None
    data: DeleteData = {
        "generation_id": answer.generation_id,
        "files_deleted": answer.files_deleted,
    }
    return success(exchange, "Generation deleted successfully", data)


@router.post("/content/generation/cancel/{generation_id}", response_model=Envelope[CancelData])
async def cancel_generation(request: Request, generation_id: str) -> Response:
    """Ends a generation that has not ended and returns its credits."""
    exchange = exchange_of(request)
    exchange.refused = _ABSENT.spec.bse_code
    question = generation.CancelGenerationRequest(generation_id=generation_id)
    try:
        answer = await upstream_of(request).call(exchange, CANCEL_GENERATION, question)
    except RegionError as error:
        raise _same_if_absent(error) from None
    data: CancelData = {
        "generation_id": answer.generation.generation_id,
        "generation_status": "canceled",
        "provider_cancel_sent": answer.provider_cancel_sent,
        "credits_refunded": answer.credits_refunded,
    }
    return success(exchange, "Generation canceled successfully", data)


def _same_if_absent(error: RegionError) -> BabySeaError:
    """One and the same answer for an id that is malformed, unknown or another account's."""
    if error.spec.grpc_code in {"NOT_FOUND", "INVALID_ARGUMENT"} and error.reason not in {
        error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND
    }:
        return BabySeaError(error_reason_pb2.ERROR_REASON_GENERATION_NOT_FOUND)
    return error
