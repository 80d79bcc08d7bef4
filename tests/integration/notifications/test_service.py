"""NotificationService as a person, an operator, a service and a stranger meet it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import grpc
import pytest

from babysea.common.v1.paging_pb2 import PageRequest
from babysea.notifications.v1 import notification_service_pb2 as pb
from babysea.notifications.v1 import notification_service_pb2_grpc as rpc
from kit.ids import uuid7
from kit.rpc import SERVICE_TOKEN, error_of
from server.accounts.sessions import new_token, token_hash
from server.runtime.lifecycle import serve
from server.runtime.service_identity import make_token
from tests.integration.notifications.post_office import Post, PostOffice
from tests.support.postgres import TestDatabase
from tests.support.region import settings_for

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Service:
    """The service and who may call it."""

    stub: rpc.NotificationServiceAsyncStub
    operator: Metadata
    internal: Metadata


@pytest.fixture
async def service(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Service]:
    """A server with this one service."""
    internal = make_token(tmp_path / "service.token", "svc_")
    operator = make_token(tmp_path / "operator.token", "op_")
    settings = settings_for(
        database,
        services="notifications",
        service_token_file=tmp_path / "service.token",
        operator_token_file=tmp_path / "operator.token",
    )
    async with serve(settings) as server, grpc.aio.insecure_channel(server.address) as channel:
        yield Service(rpc.NotificationServiceStub(channel), _bearer(operator), ((SERVICE_TOKEN, internal),))


async def test_a_person_reads_and_keeps_its_own_inbox(post: Post, service: Service) -> None:
    person = await post.person("reader@example.org")
    me = await _signed_in(post, person)
    account = uuid7()
    for number in range(3):
        await post.tell(person, f"grpc:{number}", account_id=account, data={"number": number})
    first = await service.stub.ListNotifications(
        pb.ListNotificationsRequest(page=PageRequest(page_size=2)), metadata=me
    )
    assert [each.data["number"] for each in first.notifications] == ["2", "1"]
    assert {each.account_id for each in first.notifications} == {str(account)}
    assert (first.unread, first.page.total) == (3, 3)
    rest = await service.stub.ListNotifications(
        pb.ListNotificationsRequest(page=PageRequest(page_token=first.page.next_page_token)), metadata=me
    )
    assert [each.data["number"] for each in rest.notifications] == ["0"]
    named = pb.MarkReadRequest(notification_ids=[rest.notifications[0].notification_id, str(uuid7())])
    marked = await service.stub.MarkRead(named, metadata=me)
    assert (marked.marked, marked.unread) == (1, 2)
    other = await _signed_in(post, await post.person("somebody@example.org"))
    assert (await service.stub.MarkRead(pb.MarkReadRequest(all=True), metadata=other)).marked == 0
    assert (await service.stub.MarkRead(pb.MarkReadRequest(all=True), metadata=me)).marked == 2
    unread = await service.stub.ListNotifications(pb.ListNotificationsRequest(unread_only=True), metadata=me)
    assert list(unread.notifications) == []


async def test_a_person_decides_what_to_hear_of(post: Post, service: Service) -> None:
    me = await _signed_in(post, await post.person("decider@example.org"))
    change = pb.PreferenceChange(category="credit", channel="email", enabled=False)
    changed = await service.stub.UpdatePreferences(pb.UpdatePreferencesRequest(changes=[change]), metadata=me)
    found = await service.stub.GetPreferences(pb.GetPreferencesRequest(), metadata=me)
    assert found.preferences == changed.preferences
    assert [(each.category, each.channel) for each in found.preferences if not each.enabled] == [
        ("credit", "email")
    ]
    assert {each.category for each in found.preferences if not each.can_be_turned_off} == {"security"}
    for wrong in (
        pb.PreferenceChange(category="security", channel="email", enabled=False),
        pb.PreferenceChange(category="gossip", channel="email"),
        pb.PreferenceChange(category="credit", channel="pigeon"),
    ):
        request = pb.UpdatePreferencesRequest(changes=[wrong])
        assert await _reason(service.stub.UpdatePreferences(request, metadata=me)) == "INVALID_INPUT"


async def test_operators_see_what_became_of_letters_and_not_to_whom_they_went(
    post: Post, service: Service, office: PostOffice
) -> None:
    person = await post.person("operated@example.org")
    for number in range(3):
        await post.write("auth.mfa_enabled", f"operated:{number}", {}, person_id=person)
    await post.sender(office).work()
    await post.write("auth.mfa_disabled", "operated:3", {}, person_id=person)
    page = await service.stub.ListLetters(
        pb.ListLettersRequest(state="sent", page=PageRequest(page_size=2)), metadata=service.operator
    )
    assert [each.event_key for each in page.letters] == ["operated:2", "operated:1"]
    assert page.page.total == 3
    assert {each.attempts for each in page.letters} == {1}
    everything = await service.stub.ListLetters(pb.ListLettersRequest(), metadata=service.operator)
    assert [each.state for each in everything.letters] == ["queued", "sent", "sent", "sent"]
    assert str(person) not in str(everything)
    assert "operated@" not in str(everything)


async def test_a_report_stops_letters_until_an_operator_lets_them_go_on(
    post: Post, service: Service, office: PostOffice
) -> None:
    person = await post.person("reported@example.org")
    report = pb.RecordBounceRequest(email=" Reported@Example.org ", reason="manual")
    await service.stub.RecordBounce(report, metadata=service.internal)
    letter = await post.write("auth.mfa_enabled", "reported:1", {}, person_id=person)
    await post.sender(office).work()
    assert (await post.row(letter))["state"] == "suppressed"
    clear = pb.ClearSuppressionRequest(email="reported@example.org")
    assert (await service.stub.ClearSuppression(clear, metadata=service.operator)).cleared
    assert not (await service.stub.ClearSuppression(clear, metadata=service.operator)).cleared
    nonsense = pb.RecordBounceRequest(email="nobody", reason="bounce")
    assert await _reason(service.stub.RecordBounce(nonsense, metadata=service.operator)) == "INVALID_INPUT"


async def test_nobody_else_gets_in(post: Post, service: Service) -> None:
    me = await _signed_in(post, await post.person("member@example.org"))
    stub = service.stub
    for who, call, reason in (
        ((), stub.ListNotifications(pb.ListNotificationsRequest()), "AUTHENTICATION_REQUIRED"),
        ((), stub.ListLetters(pb.ListLettersRequest()), "AUTHENTICATION_REQUIRED"),
        (
            service.operator,
            stub.ListNotifications(pb.ListNotificationsRequest(), metadata=service.operator),
            None,
        ),
        (me, stub.ListLetters(pb.ListLettersRequest(), metadata=me), None),
        (
            me,
            stub.RecordBounce(pb.RecordBounceRequest(email="a@b.example", reason="manual"), metadata=me),
            None,
        ),
    ):
        found = await _reason(call)
        assert found is not None, who
        assert reason is None or found == reason, who


async def _signed_in(post: Post, person: UUID) -> Metadata:
    """A session of a person."""
    token, now = new_token("us"), datetime.now(UTC)
    await post.execute(
        "insert into accounts.session (id, person_id, token_hash, created_at, last_seen_at, expires_at)"
        " values ($1, $2, $3, $4, $4, $5)",
        uuid7(),
        person,
        token_hash(post.region.envelope, token),
        now,
        now + timedelta(hours=1),
    )
    return _bearer(token)


def _bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


async def _reason(call: Awaitable[object]) -> str | None:
    """Name of the reason for which a call was refused; None for a success."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error_of(error).spec.name
    return None
