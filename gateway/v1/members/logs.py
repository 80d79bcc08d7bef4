"""What was asked of an account's API, what was done to the account, and how often each key was used."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from starlette.datastructures import QueryParams

from babysea.logs.v1 import log_service_pb2 as logs
from babysea.logs.v1 import logs_pb2
from gateway.export_reply import ExportReply
from gateway.member_methods import (
    EXPORT_ACTIVITY,
    EXPORT_REQUESTS,
    LIST_ACTIVITY,
    LIST_REQUESTS,
)
from gateway.v1 import query
from gateway.v1.members.calls import PersonCall
from gateway.v1.members.log_data import (
    ActivitiesData,
    RequestsData,
    TokenEnvelope,
    activity_data,
    request_data,
)
from gateway.v1.members.routing import member_router
from gateway.v1.members.values import timestamp
from gateway.v1.routing import ResponseDocs, parameter
from kit.clock import SystemClock

router = member_router()
_REQUEST_ROWS = 500
_ACTIVITY_ROWS = 200
_DEFAULT_ROWS = 50
_TOKEN_LENGTH = 200
_ROUTE_LENGTH = 200
_FORMATS = {"csv": logs.EXPORT_FORMAT_CSV, "json": logs.EXPORT_FORMAT_JSON}
_MEDIA_TYPES = {
    logs.EXPORT_FORMAT_CSV: ("csv", "text/csv; charset=utf-8"),
    logs.EXPORT_FORMAT_JSON: ("json", "application/json"),
}
_SURFACES = {"rest": logs_pb2.SURFACE_REST, "grpc": logs_pb2.SURFACE_GRPC}

_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_PERIOD = [parameter("from", _TIME, "At or after."), parameter("to", _TIME, "Before.")]
_REQUEST_FILTER = [
    *_PERIOD,
    parameter("key_id", _TEXT, "Id of an API key."),
    parameter("route", _TEXT, "Template of the path, for example /v1/content/{generation_id}."),
    parameter("method", _TEXT, "HTTP method, or CALL for gRPC."),
    parameter("error_code", _TEXT, "For example BSE2001."),
    parameter("status_class", {"type": "integer"}, "First digit of the status, 2 to 5."),
    parameter("surface", {"type": "string", "enum": [*_SURFACES]}, "Where the request came in."),
]
_ACTIVITY_FILTER = [
    *_PERIOD,
    parameter("category", _TEXT, "For example api_key."),
    parameter("actor", _TEXT, 'Id of a member, or "system".'),
]
_FORMAT = parameter("format", {"type": "string", "enum": [*_FORMATS], "default": "csv"}, "How it is written.")
_FILE: ResponseDocs = {
    200: {
        "description": "The file; at most 50,000 rows.",
        "content": {"text/csv": {"schema": _TEXT}, "application/json": {"schema": {"type": "object"}}},
    }
}


def _paged(most: int, filters: list[dict[str, Any]]) -> dict[str, Any]:
    limit = parameter("limit", {"type": "integer", "default": _DEFAULT_ROWS}, f"Rows; clamped to 1..{most}.")
    token = parameter("page_token", _TEXT, "`next_page_token` of the page before.")
    return {"parameters": [limit, token, *filters]}


@router.get(
    "/accounts/{account_id}/logs",
    response_model=TokenEnvelope[RequestsData],
    openapi_extra=_paged(_REQUEST_ROWS, _REQUEST_FILTER),
)
async def list_requests(request: Request, account_id: str) -> Response:
    """Requests to the account's API, newest first; there a second or so after their answer."""
    call = PersonCall(request, LIST_REQUESTS)
    question = await call.query(
        lambda parameters: logs.ListRequestsRequest(
            account_id=account_id,
            filter=request_filter(parameters),
            page_size=_rows(parameters, _REQUEST_ROWS),
            page_token=query.text(parameters, "page_token", most=_TOKEN_LENGTH),
        )
    )
    answer = await call.ask(question)
    data: RequestsData = {"logs": [request_data(entry) for entry in answer.requests]}
    beside = {"limit": question.page_size, "next_page_token": answer.next_page_token or None}
    return call.reply("Logs retrieved successfully", data, beside=beside)


@router.get(
    "/accounts/{account_id}/logs/export",
    response_class=Response,
    responses=_FILE,
    openapi_extra={"parameters": [_FORMAT, *_REQUEST_FILTER]},
)
async def export_requests(request: Request, account_id: str) -> Response:
    """The same as a file to save."""
    call = PersonCall(request, EXPORT_REQUESTS)
    question = await call.query(
        lambda parameters: logs.ExportRequestsRequest(
            account_id=account_id,
            filter=request_filter(parameters),
            format=query.word(parameters, "format", _FORMATS, default=logs.EXPORT_FORMAT_CSV),
        )
    )
    extension, media_type = _MEDIA_TYPES[question.format]
    return ExportReply(
        call.stream(question),
        media_type=media_type,
        file_name=_file_name("logs", extension),
        translate=call.translated,
    )


@router.get(
    "/accounts/{account_id}/activity",
    response_model=TokenEnvelope[ActivitiesData],
    openapi_extra=_paged(_ACTIVITY_ROWS, _ACTIVITY_FILTER),
)
async def list_activity(request: Request, account_id: str) -> Response:
    """What was done to the account, newest first."""
    call = PersonCall(request, LIST_ACTIVITY)
    question = await call.query(
        lambda parameters: logs.ListActivityRequest(
            account_id=account_id,
            filter=activity_filter(parameters),
            page_size=_rows(parameters, _ACTIVITY_ROWS),
            page_token=query.text(parameters, "page_token", most=_TOKEN_LENGTH),
        )
    )
    answer = await call.ask(question)
    data: ActivitiesData = {"activity": [activity_data(entry) for entry in answer.entries]}
    beside = {"limit": question.page_size, "next_page_token": answer.next_page_token or None}
    return call.reply("Activity retrieved successfully", data, beside=beside)


@router.get(
    "/accounts/{account_id}/activity/export",
    response_class=Response,
    responses=_FILE,
    openapi_extra={"parameters": [_FORMAT, *_ACTIVITY_FILTER]},
)
async def export_activity(request: Request, account_id: str) -> Response:
    """The same as a file to save."""
    call = PersonCall(request, EXPORT_ACTIVITY)
    question = await call.query(
        lambda parameters: logs.ExportActivityRequest(
            account_id=account_id,
            filter=activity_filter(parameters),
            format=query.word(parameters, "format", _FORMATS, default=logs.EXPORT_FORMAT_CSV),
        )
    )
    extension, media_type = _MEDIA_TYPES[question.format]
    return ExportReply(
        call.stream(question),
        media_type=media_type,
        file_name=_file_name("activity", extension),
        translate=call.translated,
    )


def request_filter(parameters: QueryParams) -> logs.RequestFilter:
    """Which requests a query asks for.

    Raises:
        BabySeaError: INVALID_INPUT naming the parameter.
    """
    wanted = logs.RequestFilter(
        key_id=query.text(parameters, "key_id"),
        route=query.text(parameters, "route", most=_ROUTE_LENGTH),
        method=query.text(parameters, "method"),
        error_code=query.text(parameters, "error_code"),
        status_class=query.whole_number(parameters, "status_class", default=0, low=0, high=9),
        surface=query.word(parameters, "surface", _SURFACES, default=logs_pb2.SURFACE_UNSPECIFIED),
    )
    _set_period(wanted, parameters)
    return wanted


def activity_filter(parameters: QueryParams) -> logs.ActivityFilter:
    """Which activity a query asks for.

    Raises:
        BabySeaError: INVALID_INPUT naming the parameter.
    """
    wanted = logs.ActivityFilter(
        category=query.text(parameters, "category"), actor=query.text(parameters, "actor")
    )
    _set_period(wanted, parameters)
    return wanted


def _set_period(wanted: logs.RequestFilter | logs.ActivityFilter, parameters: QueryParams) -> None:
    for name in ("from", "to"):
        instant = query.instant(parameters, name)
        if instant is not None:
            getattr(wanted, name).CopyFrom(timestamp(instant))


def _rows(parameters: QueryParams, most: int) -> int:
    return query.whole_number(parameters, "limit", default=_DEFAULT_ROWS, low=1, high=most)


def _file_name(subject: str, extension: str) -> str:
    return f"babysea-{subject}-{SystemClock().now():%Y-%m-%d}.{extension}"
