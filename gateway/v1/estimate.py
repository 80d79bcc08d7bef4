"""What a request would cost."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.datastructures import QueryParams

from babysea.generation.v1 import generation_pb2
from babysea.generation.v1 import generation_service_pb2 as generation
from gateway.envelope import success
from gateway.exchange import exchange_of
from gateway.methods import ESTIMATE_GENERATION
from gateway.upstream import refuse, upstream_of
from gateway.v1 import query
from gateway.v1.models import check_identifier
from gateway.v1.responses import Envelope, EstimateData
from gateway.v1.routing import parameter, v1_router
from gateway.v1.values import media_word, plain
from kit.errors import BabySeaError
from kit.money import json_number

router = v1_router()
_MOST = 100


@router.get(
    "/estimate/{model_identifier:path}",
    response_model=Envelope[EstimateData],
    openapi_extra={
        "parameters": [
            parameter("count", {"type": "integer", "default": 1}, "Generations to price; clamped to 1..100."),
            parameter("duration", {"type": "number"}, "Video only: seconds."),
            parameter("resolution", {"type": "string"}, "Video only: for example 720p."),
            parameter("audio", {"type": "boolean"}, "Video only: whether with sound."),
        ]
    },
)
async def estimate(request: Request, model_identifier: str) -> Response:
    """The price of one or more generations. Nothing is reserved and no provider works."""
    exchange, upstream = exchange_of(request), upstream_of(request)
    try:
        question = estimate_request(model_identifier, request.query_params)
    except BabySeaError as error:
        unacceptable = generation.EstimateGenerationRequest()
        raise await refuse(upstream, exchange, ESTIMATE_GENERATION, unacceptable, error) from None
    answer = await upstream.call(exchange, ESTIMATE_GENERATION, question)
    return success(exchange, "Cost estimated successfully", estimate_data(answer))


def estimate_request(model_identifier: str, parameters: QueryParams) -> generation.EstimateGenerationRequest:
    """The regional request for a path and a query.

    Raises:
        BabySeaError: MODEL_NOT_FOUND, or INVALID_INPUT naming the parameter.
    """
    check_identifier(model_identifier)
    return generation.EstimateGenerationRequest(
        model_identifier=model_identifier,
        count=query.whole_number(parameters, "count", default=1, low=1, high=_MOST),
        duration=query.number(parameters, "duration"),
        resolution=query.text(parameters, "resolution"),
        audio=query.truth(parameters, "audio"),
    )


def estimate_data(answer: generation.EstimateGenerationResponse) -> EstimateData:
    """The price as the public contract shows it."""
    balance = answer.balance_micros if answer.HasField("balance_micros") else None
    each, total = answer.generation_micros, answer.total_micros
    data: EstimateData = {
        "model_identifier": answer.model_identifier,
        "model_type": media_word(answer.media),
        "assets_count": answer.count,
        "cost_per_generation": json_number(each),
        "cost_total_consumed": json_number(total),
        "credit_balance": None if balance is None else json_number(balance),
        "credit_balance_can_afford": None if balance is None else balance >= total,
        "credit_balance_max_affordable": None if balance is None or not each else max(0, balance // each),
    }
    if answer.media == generation_pb2.MEDIA_VIDEO:
        if answer.HasField("second_micros"):
            data["cost_per_second"] = json_number(answer.second_micros)
        if answer.HasField("duration"):
            data["duration_seconds"] = plain(answer.duration)
        if answer.HasField("resolution"):
            data["resolution"] = answer.resolution
    return data
