"""The signed-in person's inbox, and what the person wants to hear of."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Response
from pydantic import Field
from typing_extensions import TypedDict

from babysea.notifications.v1 import notification_service_pb2 as notifications
from babysea.notifications.v1 import notifications_pb2
from gateway.member_methods import GET_PREFERENCES, LIST_NOTIFICATIONS, MARK_READ, UPDATE_PREFERENCES
from gateway.v1 import query
from gateway.v1.members.bodies import Body
from gateway.v1.members.calls import PersonCall, beside_of, page_of
from gateway.v1.members.routing import lists, member_router, takes
from gateway.v1.members.values import at
from gateway.v1.responses import Envelope, ListEnvelope
from gateway.v1.routing import parameter

router = member_router()


class NotificationData(TypedDict):
    """One notice: what happened, and the ids and numbers that belong to it."""

    notification_id: str
    account_id: str | None
    category: str
    kind: str
    data: dict[str, str]
    created_at: str | None
    read_at: str | None


class InboxData(TypedDict):
    """Notices, newest first; `unread` counts the whole inbox."""

    notifications: list[NotificationData]
    unread: int


class MarkedData(TypedDict):
    """How it stands now."""

    marked: int
    unread: int


class PreferenceData(TypedDict):
    """Whether the person hears of a category by a channel."""

    category: str
    channel: str
    enabled: bool
    can_be_turned_off: bool


class PreferencesData(TypedDict):
    """Every category and channel."""

    preferences: list[PreferenceData]


class MarkRead(Body):
    """What was read: these notices, or all."""

    notification_ids: Annotated[list[str], Field(description="At most 100.", default_factory=list)]
    all: Annotated[bool, Field(description="The whole inbox.")] = False


class Change(Body):
    """One change."""

    category: str
    channel: str
    enabled: bool


class UpdatePreferences(Body):
    """What changes; what is not named stays."""

    changes: list[Change]


@router.get(
    "/me/notifications",
    response_model=ListEnvelope[InboxData],
    openapi_extra=lists(parameter("unread", {"type": "boolean", "default": False}, "Only unread ones.")),
)
async def list_notifications(request: Request) -> Response:
    """The person's inbox, newest first."""
    call = PersonCall(request, LIST_NOTIFICATIONS)
    question = await call.query(
        lambda parameters: notifications.ListNotificationsRequest(
            page=page_of(parameters), unread_only=bool(query.truth(parameters, "unread"))
        )
    )
    answer = await call.ask(question)
    data: InboxData = {
        "notifications": [_notification_data(notice) for notice in answer.notifications],
        "unread": answer.unread,
    }
    beside = beside_of(question.page, answer.page)
    return call.reply("Notifications retrieved successfully", data, beside=beside)


@router.post("/me/notifications/read", response_model=Envelope[MarkedData], openapi_extra=takes(MarkRead))
async def mark_read(request: Request) -> Response:
    """Marks notices as read."""
    call = PersonCall(request, MARK_READ)
    body = await call.body(MarkRead)
    question = notifications.MarkReadRequest(notification_ids=body.notification_ids, all=body.all)
    answer = await call.ask(question)
    data: MarkedData = {"marked": answer.marked, "unread": answer.unread}
    return call.reply("Notifications marked as read", data)


@router.get("/me/notification-preferences", response_model=Envelope[PreferencesData])
async def get_preferences(request: Request) -> Response:
    """What the person wants to hear of."""
    call = PersonCall(request, GET_PREFERENCES)
    answer = await call.ask(notifications.GetPreferencesRequest())
    data: PreferencesData = {"preferences": [_preference_data(one) for one in answer.preferences]}
    return call.reply("Preferences retrieved successfully", data)


@router.patch(
    "/me/notification-preferences",
    response_model=Envelope[PreferencesData],
    openapi_extra=takes(UpdatePreferences),
)
async def update_preferences(request: Request) -> Response:
    """Changes what the person wants to hear of."""
    call = PersonCall(request, UPDATE_PREFERENCES)
    body = await call.body(UpdatePreferences)
    changes = [
        notifications.PreferenceChange(
            category=change.category, channel=change.channel, enabled=change.enabled
        )
        for change in body.changes
    ]
    answer = await call.ask(notifications.UpdatePreferencesRequest(changes=changes))
    data: PreferencesData = {"preferences": [_preference_data(one) for one in answer.preferences]}
    return call.reply("Preferences updated successfully", data)


def _notification_data(notice: notifications_pb2.Notification) -> NotificationData:
    return {
        "notification_id": notice.notification_id,
        "account_id": notice.account_id or None,
        "category": notice.category,
        "kind": notice.kind,
        "data": dict(notice.data),
        "created_at": at(notice, "created_at"),
        "read_at": at(notice, "read_at"),
    }


def _preference_data(preference: notifications_pb2.Preference) -> PreferenceData:
    return {
        "category": preference.category,
        "channel": preference.channel,
        "enabled": preference.enabled,
        "can_be_turned_off": preference.can_be_turned_off,
    }
