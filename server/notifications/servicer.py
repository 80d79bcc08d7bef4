"""NotificationService: protobuf in, protobuf out."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.notifications.v1 import notification_service_pb2 as pb
from babysea.notifications.v1 import notification_service_pb2_grpc
from babysea.notifications.v1 import notifications_pb2 as shapes
from kit.clock import Clock
from server.accounts.identity.addresses import email_hash, normalised_email
from server.notifications import bounces, inbox, letters, preferences
from server.notifications.inbox_store import Notice
from server.notifications.preferences import Preference
from server.notifications.store import LetterRow
from server.runtime.context import RpcContext
from server.runtime.encryption import Envelope
from server.runtime.identity import member
from server.runtime.paging import page_info, page_of


class NotificationServicer(notification_service_pb2_grpc.NotificationServiceServicer):
    """Serves babysea.notifications.v1.NotificationService."""

    def __init__(self, app: AsyncEngine, worker: AsyncEngine, envelope: Envelope, clock: Clock) -> None:
        """Takes the engines of the request path and of the workers, whose queue operators look at."""
        self._app = app
        self._worker = worker
        self._envelope = envelope
        self._clock = clock

    async def ListNotifications(  # noqa: N802
        self, request: pb.ListNotificationsRequest, context: RpcContext
    ) -> pb.ListNotificationsResponse:
        """The caller's inbox."""
        page = page_of(request.page, key_parts=2)
        found = await inbox.list_inbox(self._app, member().person_id, page, unread_only=request.unread_only)
        return pb.ListNotificationsResponse(
            notifications=[_notice(each) for each in found.notices],
            page=page_info(page, found.total, found.next_token),
            unread=found.unread,
        )

    async def MarkRead(self, request: pb.MarkReadRequest, context: RpcContext) -> pb.MarkReadResponse:  # noqa: N802
        """Marks notices as read."""
        ids = [UUID(each) for each in request.notification_ids]
        marked, unread = await inbox.mark_read(self._app, member().person_id, ids, everything=request.all)
        return pb.MarkReadResponse(marked=marked, unread=unread)

    async def GetPreferences(  # noqa: N802
        self, request: pb.GetPreferencesRequest, context: RpcContext
    ) -> pb.GetPreferencesResponse:
        """What the caller wants to hear of."""
        found = await preferences.get_preferences(self._app, member().person_id)
        return pb.GetPreferencesResponse(preferences=_shown(found))

    async def UpdatePreferences(  # noqa: N802
        self, request: pb.UpdatePreferencesRequest, context: RpcContext
    ) -> pb.UpdatePreferencesResponse:
        """Changes what the caller wants to hear of."""
        changes = [Preference(each.category, each.channel, each.enabled) for each in request.changes]
        found = await preferences.update_preferences(self._app, member().person_id, changes)
        return pb.UpdatePreferencesResponse(preferences=_shown(found))

    async def ListLetters(  # noqa: N802
        self, request: pb.ListLettersRequest, context: RpcContext
    ) -> pb.ListLettersResponse:
        """The region's e-mails."""
        page = page_of(request.page, key_parts=2)
        found = await letters.list_letters(self._worker, request.state or None, page)
        return pb.ListLettersResponse(
            letters=[_letter(each) for each in found.letters],
            page=page_info(page, found.total, found.next_token),
        )

    async def RecordBounce(  # noqa: N802
        self, request: pb.RecordBounceRequest, context: RpcContext
    ) -> pb.RecordBounceResponse:
        """Notes a report about an address."""
        hashed = email_hash(self._envelope, normalised_email(request.email))
        await bounces.record_bounce(self._worker, hashed, request.reason, self._clock.now())
        return pb.RecordBounceResponse()

    async def ClearSuppression(  # noqa: N802
        self, request: pb.ClearSuppressionRequest, context: RpcContext
    ) -> pb.ClearSuppressionResponse:
        """Lets an address be written to again."""
        hashed = email_hash(self._envelope, normalised_email(request.email))
        return pb.ClearSuppressionResponse(cleared=await bounces.clear_suppression(self._worker, hashed))


def _notice(notice: Notice) -> shapes.Notification:
    shown = shapes.Notification(
        notification_id=str(notice.id),
        account_id="" if notice.account_id is None else str(notice.account_id),
        category=notice.category,
        kind=notice.kind,
        data={name: str(value) for name, value in notice.data.items()},
    )
    shown.created_at.FromDatetime(notice.created_at)
    if notice.read_at is not None:
        shown.read_at.FromDatetime(notice.read_at)
    return shown


def _shown(found: Iterable[Preference]) -> list[shapes.Preference]:
    return [
        shapes.Preference(
            category=each.category,
            channel=each.channel,
            enabled=each.enabled,
            can_be_turned_off=each.can_be_turned_off,
        )
        for each in found
    ]


def _letter(letter: LetterRow) -> shapes.Letter:
    shown = shapes.Letter(
        letter_id=str(letter.id),
        event_key=letter.event_key,
        template=letter.template,
        template_version=letter.template_version,
        state=letter.state,
        attempts=letter.attempts,
        last_error_kind=letter.last_error_kind or "",
    )
    shown.created_at.FromDatetime(letter.created_at)
    if letter.state == "queued":
        shown.run_after.FromDatetime(letter.run_after)
    if letter.sent_at is not None:
        shown.sent_at.FromDatetime(letter.sent_at)
    return shown
