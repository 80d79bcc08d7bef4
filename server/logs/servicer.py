"""LogService: protobuf in, protobuf out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from babysea.logs.v1 import log_service_pb2 as pb
from babysea.logs.v1 import log_service_pb2_grpc, logs_pb2
from kit.errors import invalid
from server.logs.exporting import ACTIVITY, REQUESTS, Format, exported
from server.logs.reading import (
    DEFAULT_DAYS,
    DEFAULT_ROWS,
    MOST_ACTIVITY,
    MOST_DAYS,
    MOST_REQUESTS,
    Activity,
    KeyUsed,
    LoggedKey,
    LogReading,
    Request,
    clamped,
    place_of,
    token_of,
)
from server.logs.store import ActivityFilter, RequestFilter
from server.runtime.context import RpcContext
from server.runtime.identity import member

_SURFACES = {"rest": logs_pb2.SURFACE_REST, "grpc": logs_pb2.SURFACE_GRPC}
_SURFACE_WORDS = {number: word for word, number in _SURFACES.items()}
_FORMATS: dict[pb.ExportFormat.ValueType, Format] = {
    pb.EXPORT_FORMAT_JSON: "json",
    pb.EXPORT_FORMAT_CSV: "csv",
}


class LogServicer(log_service_pb2_grpc.LogServiceServicer):
    """Serves babysea.logs.v1.LogService for the account of the request."""

    def __init__(self, reading: LogReading) -> None:
        self._reading = reading

    async def ListRequests(  # noqa: N802
        self, request: pb.ListRequestsRequest, context: RpcContext
    ) -> pb.ListRequestsResponse:
        """Requests, newest first."""
        size = clamped(request.page_size, DEFAULT_ROWS, MOST_REQUESTS)
        rows, end = await self._reading.requests(
            member().account, _request_filter(request.filter), place_of(request.page_token), size
        )
        return pb.ListRequestsResponse(requests=map(_request, rows), next_page_token=token_of(end))

    async def ExportRequests(  # noqa: N802
        self, request: pb.ExportRequestsRequest, context: RpcContext
    ) -> AsyncIterator[pb.ExportRequestsResponse]:
        """Requests as a file."""
        fetch = partial(self._reading.requests, member().account, _request_filter(request.filter))
        async for piece in exported(REQUESTS, _FORMATS[request.format], fetch):
            yield pb.ExportRequestsResponse(data=piece.data, rows=piece.rows, truncated=piece.truncated)

    async def ListKeyUsage(  # noqa: N802
        self, request: pb.ListKeyUsageRequest, context: RpcContext
    ) -> pb.ListKeyUsageResponse:
        """How often each key was used."""
        days = clamped(request.days, DEFAULT_DAYS, MOST_DAYS)
        used = await self._reading.key_usage(member().account, days)
        return pb.ListKeyUsageResponse(keys=map(_used, used), days=days)

    async def ListActivity(  # noqa: N802
        self, request: pb.ListActivityRequest, context: RpcContext
    ) -> pb.ListActivityResponse:
        """Activity, newest first."""
        size = clamped(request.page_size, DEFAULT_ROWS, MOST_ACTIVITY)
        rows, end = await self._reading.activity(
            member().account, _activity_filter(request.filter), place_of(request.page_token), size
        )
        return pb.ListActivityResponse(entries=map(_activity, rows), next_page_token=token_of(end))

    async def ExportActivity(  # noqa: N802
        self, request: pb.ExportActivityRequest, context: RpcContext
    ) -> AsyncIterator[pb.ExportActivityResponse]:
        """Activity as a file."""
        fetch = partial(self._reading.activity, member().account, _activity_filter(request.filter))
        async for piece in exported(ACTIVITY, _FORMATS[request.format], fetch):
            yield pb.ExportActivityResponse(data=piece.data, rows=piece.rows, truncated=piece.truncated)


def _request_filter(asked: pb.RequestFilter) -> RequestFilter:
    begin, end = _span(asked)
    return RequestFilter(
        begin=begin,
        end=end,
        key_id=UUID(asked.key_id) if asked.key_id else None,
        route=asked.route,
        method=asked.method,
        surface=_SURFACE_WORDS.get(asked.surface, ""),
        bse_code=asked.error_code,
        status_class=asked.status_class,
    )


def _activity_filter(asked: pb.ActivityFilter) -> ActivityFilter:
    begin, end = _span(asked)
    by_system = asked.actor == "system"
    return ActivityFilter(
        begin=begin,
        end=end,
        category=asked.category,
        actor=UUID(asked.actor) if asked.actor and not by_system else None,
        system_only=by_system,
    )


def _span(asked: pb.RequestFilter | pb.ActivityFilter) -> tuple[datetime | None, datetime | None]:
    # "from" is a word of Python's.
    return _moment(asked, "from"), _moment(asked, "to")


def _moment(asked: pb.RequestFilter | pb.ActivityFilter, name: str) -> datetime | None:
    if not asked.HasField(name):  # type: ignore[arg-type]
        return None
    stamp: Timestamp = getattr(asked, name)
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid(f"filter.{name}", f"filter.{name} is not a time.") from None


def _request(row: Request) -> logs_pb2.LoggedRequest:
    shown = logs_pb2.LoggedRequest(
        log_id=str(row.id),
        at=_stamp(row.at),
        surface=_SURFACES[row.surface],
        method=row.method,
        route=row.route,
        query=row.query,
        status=row.status,
        error_code=row.error_code,
        millis=row.millis,
        replayed=row.replayed,
        address_hash=row.address_hash,
        user_agent=row.user_agent,
        request_id=row.request_id,
    )
    if row.key is not None:
        shown.key.CopyFrom(_key(row.key))
    elif row.person_id is not None:
        shown.person_id = str(row.person_id)
    return shown


def _key(key: LoggedKey) -> logs_pb2.LoggedKey:
    return logs_pb2.LoggedKey(key_id=str(key.id), name=key.name, prefix=key.prefix, status=key.status)


def _used(used: KeyUsed) -> logs_pb2.KeyUsage:
    return logs_pb2.KeyUsage(
        key=_key(used.key),
        requests=used.requests,
        errors=used.errors,
        last_at=_stamp(used.last_at),
        days=[
            logs_pb2.KeyDay(day=day.isoformat(), requests=requests, errors=errors)
            for day, requests, errors in used.days
        ],
    )


def _activity(row: Activity) -> logs_pb2.ActivityEntry:
    return logs_pb2.ActivityEntry(
        event_id=str(row.id),
        at=_stamp(row.at),
        actor_id="" if row.actor is None else str(row.actor),
        category=row.category,
        action=row.action,
        description=row.description,
        target_id="" if row.target is None else str(row.target),
        details=row.details,
    )


def _stamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
