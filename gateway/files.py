"""Stored outputs: the region checks the signed URL and streams the bytes; the gateway holds no storage key."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from babysea.generation.v1 import generation_service_pb2 as generation
from gateway.errors import not_found
from gateway.exchange import exchange_of
from gateway.file_reply import FileReply, Wish
from gateway.limits import FileStreams
from gateway.ranges import parse_range
from gateway.upstream import upstream_of

router = APIRouter()
_NAME_LENGTH = 200
_EXPIRES_DIGITS = 15


@router.api_route(
    "/files/{file_token}",
    methods=["GET", "HEAD"],
    response_class=Response,
    include_in_schema=False,
)
async def read_file(request: Request, file_token: str) -> Response:
    """A stored file, whole or in part.

    Raises:
        BabySeaError: NOT_FOUND, the same for a wrong signature, an expired URL and a missing file.
    """
    expires = request.query_params.get("expires", "")
    signature = request.query_params.get("signature", "")
    well_formed = (
        expires.isascii()
        and expires.isdecimal()
        and len(expires) <= _EXPIRES_DIGITS
        and 0 < len(signature) <= _NAME_LENGTH
        and 0 < len(file_token) <= _NAME_LENGTH
    )
    if not well_formed:
        raise not_found()
    headers = request.headers
    head = request.method == "HEAD"
    wish = Wish(
        file=generation.ReadFileRequest(file_token=file_token, expires=int(expires), signature=signature),
        head=head,
        # A range has no meaning without a body.
        part=None if head else parse_range(headers.get("range")),
        if_none_match=headers.get("if-none-match"),
        if_range=headers.get("if-range"),
    )
    streams: FileStreams = request.app.state.file_streams
    return FileReply(exchange_of(request), upstream_of(request), wish, streams)
