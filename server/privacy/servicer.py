"""ConsentService: protobuf in, protobuf out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from babysea.privacy.v1 import consent_service_pb2 as pb
from babysea.privacy.v1 import consent_service_pb2_grpc, consents_pb2
from kit.clock import Clock
from server.privacy.reading import ConsentView, TextView, read_consents, read_history, texts_that_hold
from server.privacy.recording import (
    Choice,
    address_hash,
    adopt_visitor,
    record_choices,
    record_visitor_choices,
    visitor_hash,
)
from server.privacy.store import ChoiceRow
from server.privacy.texts import DEFAULT_LOCALE
from server.runtime.context import RpcContext
from server.runtime.database import person_transaction, system_transaction
from server.runtime.encryption import Envelope
from server.runtime.identity import caller, member
from server.runtime.paging import page_info, page_of


class ConsentServicer(consent_service_pb2_grpc.ConsentServiceServicer):
    """Serves babysea.privacy.v1.ConsentService."""

    def __init__(self, engine: AsyncEngine, envelope: Envelope, clock: Clock) -> None:
        self._engine = engine
        self._envelope = envelope
        self._clock = clock

    async def ListTexts(self, request: pb.ListTextsRequest, context: RpcContext) -> pb.ListTextsResponse:  # noqa: N802
        """The texts that hold now."""
        locale = request.locale or DEFAULT_LOCALE
        views = texts_that_hold(locale, request.purpose, self._clock.now())
        return pb.ListTextsResponse(texts=[_text(view) for view in views])

    async def GetConsents(  # noqa: N802
        self, request: pb.GetConsentsRequest, context: RpcContext
    ) -> pb.GetConsentsResponse:
        """Where the caller stands."""
        person_id = member().person_id
        async with person_transaction(self._engine, person_id) as connection:
            return pb.GetConsentsResponse(consents=await self._consents(connection, person_id))

    async def RecordConsents(  # noqa: N802
        self, request: pb.RecordConsentsRequest, context: RpcContext
    ) -> pb.RecordConsentsResponse:
        """Records choices of the caller."""
        person_id, choices = member().person_id, _choices(request.choices)
        async with person_transaction(self._engine, person_id) as connection:
            await record_choices(connection, person_id, choices, self._address_hash(), at=self._clock.now())
            return pb.RecordConsentsResponse(consents=await self._consents(connection, person_id))

    async def RecordVisitorConsents(  # noqa: N802
        self, request: pb.RecordVisitorConsentsRequest, context: RpcContext
    ) -> pb.RecordVisitorConsentsResponse:
        """Records choices of a visitor."""
        visitor, choices = visitor_hash(self._envelope, request.visitor_id), _choices(request.choices)
        async with system_transaction(self._engine) as connection:
            await record_visitor_choices(
                connection, visitor, choices, self._address_hash(), at=self._clock.now()
            )
        return pb.RecordVisitorConsentsResponse()

    async def AdoptVisitorConsents(  # noqa: N802
        self, request: pb.AdoptVisitorConsentsRequest, context: RpcContext
    ) -> pb.AdoptVisitorConsentsResponse:
        """Gives the caller what was chosen before."""
        person_id = member().person_id
        async with person_transaction(self._engine, person_id) as connection:
            await adopt_visitor(connection, visitor_hash(self._envelope, request.visitor_id))
            return pb.AdoptVisitorConsentsResponse(consents=await self._consents(connection, person_id))

    async def GetHistory(self, request: pb.GetHistoryRequest, context: RpcContext) -> pb.GetHistoryResponse:  # noqa: N802
        """Every choice of the caller, newest first."""
        person_id, page = member().person_id, page_of(request.page, key_parts=2)
        async with person_transaction(self._engine, person_id) as connection:
            found = await read_history(connection, person_id, page)
        return pb.GetHistoryResponse(
            choices=[_recorded(row) for row in found.choices],
            page=page_info(page, found.total, found.next_token),
        )

    async def _consents(self, connection: AsyncConnection, person_id: UUID) -> list[consents_pb2.Consent]:
        return [_consent(view) for view in await read_consents(connection, person_id, self._clock.now())]

    def _address_hash(self) -> bytes | None:
        return address_hash(self._envelope, caller().client_address)


def _choices(choices: Iterable[consents_pb2.Choice]) -> list[Choice]:
    return [
        Choice(choice.purpose, choice.version, choice.granted, choice.locale or DEFAULT_LOCALE)
        for choice in choices
    ]


def _text(view: TextView) -> consents_pb2.ConsentText:
    return consents_pb2.ConsentText(
        purpose=view.name,
        version=view.version.version,
        locale=view.text.locale,
        title=view.text.title,
        content=view.text.content,
        sha256=view.text.sha256,
        effective_from=_timestamp(view.version.effective_from),
        necessary=view.purpose.necessary,
        visitors=view.purpose.visitors,
    )


def _consent(view: ConsentView) -> consents_pb2.Consent:
    return consents_pb2.Consent(
        purpose=view.purpose,
        necessary=view.necessary,
        granted=view.granted,
        current_version=view.current_version,
        chosen_version=view.chosen_version,
        chosen_at=None if view.chosen_at is None else _timestamp(view.chosen_at),
        ask=view.ask,
    )


def _recorded(row: ChoiceRow) -> consents_pb2.RecordedChoice:
    return consents_pb2.RecordedChoice(
        choice_id=str(row.id),
        purpose=row.purpose,
        version=row.version,
        locale=row.locale,
        granted=row.granted,
        at=_timestamp(row.at),
        source=row.source,
    )


def _timestamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
