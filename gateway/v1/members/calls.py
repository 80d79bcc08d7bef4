"""One request of a person: what it says is read, the region is asked, and the answer is put into the envelope."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from babysea.common.v1 import error_reason_pb2, paging_pb2
from gateway.body import parse_object, read_bytes
from gateway.envelope import success
from gateway.errors import not_found
from gateway.exchange import exchange_of
from gateway.methods import Method, Q, R
from gateway.upstream import RegionError, refuse, upstream_of
from gateway.v1 import query
from gateway.v1.members.bodies import B, validated
from gateway.v1.members.spoiling import spoiled
from kit.errors import BabySeaError

T = TypeVar("T")

ACCOUNT_FIELD = "account_id"
"""Path parameter, and field of the regional request, that names the account."""

_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DEFAULT_LIMIT = 50
_MOST = 100
_FARTHEST = 2**31 - 1


class PersonCall(Generic[Q, R]):
    """A request that becomes one call to the region.

    Whatever is wrong with the request is told only to a caller whom the region would have let in.
    """

    def __init__(self, request: Request, method: Method[Q, R]) -> None:
        self._request = request
        self._method = method
        self.exchange = exchange_of(request)
        self.upstream = upstream_of(request)
        absent = self._malformed_id()
        if absent is not None:
            self.exchange.refused = absent.spec.bse_code

    async def body(self, model: type[B]) -> B:
        """The JSON body; an empty one counts as an object without fields.

        Raises:
            BabySeaError: what the region objects to first, otherwise INVALID_INPUT or PAYLOAD_TOO_LARGE.
        """
        try:
            return validated(model, parse_object(await read_bytes(self._request) or b"{}"))
        except BabySeaError as error:
            raise await self.refusal(error) from None

    async def raw_body(self, most: int) -> bytes:
        """The body as it is, of `most` bytes.

        Raises:
            BabySeaError: what the region objects to first, otherwise PAYLOAD_TOO_LARGE.
        """
        try:
            return await read_bytes(self._request, most)
        except BabySeaError as error:
            raise await self.refusal(error) from None

    async def query(self, read: Callable[[QueryParams], T]) -> T:
        """What `read` makes of the query.

        Raises:
            BabySeaError: what the region objects to first, otherwise what `read` raised.
        """
        try:
            return read(self._request.query_params)
        except BabySeaError as error:
            raise await self.refusal(error) from None

    async def page(self, *, default: int = _DEFAULT_LIMIT, most: int = _MOST) -> paging_pb2.PageRequest:
        """The part of a list that the query asks for.

        Args:
            default: rows when it does not say.
            most: rows that it can have.

        Raises:
            BabySeaError: what the region objects to first, otherwise INVALID_INPUT.
        """
        return await self.query(lambda parameters: page_of(parameters, default=default, most=most))

    async def ask(self, question: Q) -> R:
        """The region's answer.

        Raises:
            BabySeaError: what the region said. An id of the path that is malformed is as absent as an unknown one.
        """
        try:
            return await self.upstream.call(self.exchange, self._method, question)
        except RegionError as error:
            raise self.translated(error) from None

    def stream(self, question: Q) -> AbstractAsyncContextManager[AsyncIterator[R]]:
        """The region's answers to a streaming call, which begins when this is entered."""
        return self.upstream.stream(self.exchange, self._method, question)

    def translated(self, error: RegionError) -> BabySeaError:
        """A regional error as the client may read it."""
        field = error.details.get("field", "")
        malformed = error.spec.grpc_code == "INVALID_ARGUMENT" and field in self._request.path_params
        return _absent(field) if malformed else error

    def reply(
        self,
        message: str,
        data: Mapping[str, object],
        *,
        beside: Mapping[str, object] | None = None,
        cookie: str | None = None,
    ) -> Response:
        """A success that no cache keeps.

        Args:
            message: one sentence for people.
            data: the payload.
            beside: fields beside it, such as the total of a list.
            cookie: a Set-Cookie header.
        """
        headers = {"Cache-Control": "no-store"}
        if cookie is not None:
            headers["Set-Cookie"] = cookie
        return success(self.exchange, message, data, beside=beside, headers=headers)

    async def refusal(self, error: BabySeaError) -> BabySeaError:
        """What to tell about a request that cannot be used: what the region objects to first, otherwise `error`."""
        unacceptable = spoiled(self._method.request, self._account())
        first = await refuse(self.upstream, self.exchange, self._method, unacceptable, error)
        return self.translated(first) if isinstance(first, RegionError) else first

    def _malformed_id(self) -> BabySeaError | None:
        for name, value in self._request.path_params.items():
            if name.endswith("_id") and not _ID.fullmatch(str(value)):
                return _absent(name)
        return None

    def _account(self) -> str:
        return str(self._request.path_params.get(ACCOUNT_FIELD, ""))


def _absent(field: str) -> BabySeaError:
    if field == ACCOUNT_FIELD:
        return BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
    return not_found()


def page_of(
    parameters: QueryParams, *, default: int = _DEFAULT_LIMIT, most: int = _MOST
) -> paging_pb2.PageRequest:
    """The page that a query asks for, by `limit` and `offset`.

    Raises:
        BabySeaError: INVALID_INPUT naming the parameter.
    """
    return paging_pb2.PageRequest(
        page_size=query.whole_number(parameters, "limit", default=default, low=1, high=most),
        offset=query.whole_number(parameters, "offset", default=0, low=0, high=_FARTHEST),
    )


def beside_of(asked: paging_pb2.PageRequest, given: paging_pb2.PageInfo) -> dict[str, object]:
    """What stands beside the rows of a list."""
    return {"total": given.total, "limit": asked.page_size, "offset": asked.offset}
