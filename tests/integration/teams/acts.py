"""Every act of the role grid, written from section 13 of the public contract and not from the program's own table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from babysea.logs.v1 import log_service_pb2
from tests.integration.teams.live import PASSWORD, Live, Metadata, Team
from tests.support.people import Person, join

OK, NO = "OK", "INSUFFICIENT_PERMISSIONS"
Make = Callable[[Live, Team, str], Awaitable[dict[str, Any]]]
"""Prepares a team and gives the fields of a request that is valid there."""


@dataclass(frozen=True)
class Act:
    """One thing that members do, and what becomes of it by role."""

    area: str
    """Line of the contract's table."""
    name: str
    path: str
    """Method, for example "TeamService/UpdateAccount" of babysea.accounts.v1 or "keys.v1.KeyService/ListKeys"."""
    outcome: Mapping[str, str]
    """By role."""
    make: Make
    restricted: bool = False
    """Whether it is open in a restricted account: what winds down."""
    frozen: bool = False
    """Whether it is open in a frozen account, too: looking and leaving."""
    ends_team: bool = False
    """Whether it needs a team of its own."""


def everybody() -> Mapping[str, str]:
    """Every role may."""
    return {"primary_owner": OK, "owner": OK, "member": OK}


def owners() -> Mapping[str, str]:
    """Owners may."""
    return {"primary_owner": OK, "owner": OK, "member": NO}


def primary() -> Mapping[str, str]:
    """Only the Primary Owner may."""
    return {"primary_owner": OK, "owner": NO, "member": NO}


def with_fields(**fields: Any) -> Make:
    """A request that needs nothing prepared."""

    async def make(live: Live, team: Team, role: str) -> dict[str, Any]:
        return fields

    return make


async def new_member(live: Live, team: Team, role: str) -> Person:
    """One more person in a team."""
    person = await live.person()
    await join(live.region, team.id, person.id, role)
    return person


def about(role_of_target: str, **fields: Any) -> Make:
    """A request about another member."""

    async def make(live: Live, team: Team, role: str) -> dict[str, Any]:
        return {"person_id": str((await new_member(live, team, role_of_target)).id), **fields}

    return make


async def about_the_primary_owner(live: Live, team: Team, role: str) -> dict[str, Any]:
    """A request about the Primary Owner."""
    return {"person_id": str(team.primary_owner.id)}


async def about_the_primary_owners_role(live: Live, team: Team, role: str) -> dict[str, Any]:
    """A request about the Primary Owner's role."""
    return {"person_id": str(team.primary_owner.id), "role": "member"}


def invites(role_invited: str) -> Make:
    """A request to invite an address that nobody has."""

    async def make(live: Live, team: Team, role: str) -> dict[str, Any]:
        return {"email": (await live.person()).email, "role": role_invited}

    return make


def about_invitation(**fields: Any) -> Make:
    """A request about an open invitation."""

    async def make(live: Live, team: Team, role: str) -> dict[str, Any]:
        return {"invitation_id": str(await live.open_invitation(team)), **fields}

    return make


async def about_key(live: Live, team: Team, role: str) -> dict[str, Any]:
    """A request about an active key."""
    return {"key_id": str(await live.open_key(team.id))}


async def transfer(live: Live, team: Team, role: str) -> dict[str, Any]:
    """A request to give the team to somebody else."""
    return {"person_id": str((await new_member(live, team, "owner")).id), "password": PASSWORD}


async def delete(live: Live, team: Team, role: str) -> dict[str, Any]:
    """A request to end the team."""
    return {"slug": team.slug, "password": PASSWORD}


async def new_slug(live: Live, team: Team, role: str) -> dict[str, Any]:
    """A request for a slug that nobody has."""
    return {"slug": f"s-{(await live.person()).id.hex}"}


_KEYS, _VIEWS, _ALERTS = "API keys", "Logs, credits, activity, metrics", "Low-balance alerts, team settings"
_INVITE, _INVITATIONS, _ROLES, _TEAM = (
    "Invite members",
    "Manage invitations",
    "Change roles, remove members",
    "Transfer ownership, delete team",
)
_PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
_KEY = "keys.v1.KeyService"
_LOG = "logs.v1.LogService"


def _view(area: str, name: str, path: str, **fields: Any) -> Act:
    return Act(area, name, path, everybody(), with_fields(**fields), restricted=True, frozen=True)


ACTS: tuple[Act, ...] = (
    Act(_KEYS, "make", f"{_KEY}/CreateKey", owners(), with_fields(name="k", preset="full_access")),
    Act(_KEYS, "rotate", f"{_KEY}/RotateKey", owners(), about_key),
    Act(_KEYS, "revoke", f"{_KEY}/RevokeKey", owners(), about_key, restricted=True),
    Act(_KEYS, "delete", f"{_KEY}/DeleteKey", owners(), about_key, restricted=True),
    _view(_KEYS, "view", f"{_KEY}/ListKeys"),
    Act(_KEYS, "view one", f"{_KEY}/GetKey", everybody(), about_key, restricted=True, frozen=True),
    _view(_VIEWS, "view logs", f"{_LOG}/ListRequests"),
    _view(_VIEWS, "export logs", f"{_LOG}/ExportRequests", format=log_service_pb2.EXPORT_FORMAT_CSV),
    _view(_VIEWS, "view usage", f"{_LOG}/ListKeyUsage"),
    _view(_VIEWS, "view credits", "ledger.v1.LedgerService/ListEntries"),
    _view(_VIEWS, "view activity", f"{_LOG}/ListActivity"),
    _view(_VIEWS, "export activity", f"{_LOG}/ExportActivity", format=log_service_pb2.EXPORT_FORMAT_CSV),
    Act(
        _ALERTS,
        "set alerts",
        "SettingsService/UpdateAlerts",
        primary(),
        with_fields(threshold_micros=[1_000_000]),
        restricted=True,
    ),
    _view(_ALERTS, "view alerts", "SettingsService/GetAlerts"),
    Act(_ALERTS, "name", "TeamService/UpdateAccount", primary(), with_fields(name="New name")),
    Act(_ALERTS, "slug", "TeamService/UpdateAccount", primary(), new_slug),
    Act(_ALERTS, "avatar", "TeamService/UpdateAccount", primary(), with_fields(avatar=_PNG)),
    Act(_ALERTS, "residency", "SettingsService/UpdateSettings", primary(), with_fields(residency="strict")),
    _view(_ALERTS, "view settings", "SettingsService/GetSettings"),
    _view(_ALERTS, "view team", "TeamService/GetAccountDetails"),
    _view(_ALERTS, "view members", "TeamService/ListMembers"),
    Act(_INVITE, "an owner", "TeamService/InviteMember", owners(), invites("owner")),
    Act(_INVITE, "a member", "TeamService/InviteMember", owners(), invites("member")),
    _view(_INVITATIONS, "view", "TeamService/ListInvitations"),
    Act(
        _INVITATIONS,
        "update",
        "TeamService/UpdateInvitation",
        owners(),
        about_invitation(role="owner"),
        restricted=True,
    ),
    Act(_INVITATIONS, "renew", "TeamService/RenewInvitation", owners(), about_invitation(), restricted=True),
    Act(
        _INVITATIONS, "remove", "TeamService/RemoveInvitation", owners(), about_invitation(), restricted=True
    ),
    Act(
        _ROLES,
        "member to owner",
        "TeamService/ChangeRole",
        owners(),
        about("member", role="owner"),
        restricted=True,
    ),
    Act(
        _ROLES,
        "owner to member",
        "TeamService/ChangeRole",
        primary(),
        about("owner", role="member"),
        restricted=True,
    ),
    Act(
        _ROLES,
        "the Primary Owner",
        "TeamService/ChangeRole",
        {"primary_owner": "CONFLICT", "owner": NO, "member": NO},
        about_the_primary_owners_role,
        restricted=True,
    ),
    Act(_ROLES, "remove a member", "TeamService/RemoveMember", owners(), about("member"), restricted=True),
    Act(_ROLES, "remove an owner", "TeamService/RemoveMember", primary(), about("owner"), restricted=True),
    Act(
        _ROLES,
        "remove the Primary Owner",
        "TeamService/RemoveMember",
        {"primary_owner": "CONFLICT", "owner": NO, "member": NO},
        about_the_primary_owner,
        restricted=True,
    ),
    Act(
        _TEAM,
        "transfer",
        "TeamService/TransferOwnership",
        primary(),
        transfer,
        restricted=True,
        ends_team=True,
    ),
    Act(_TEAM, "delete", "TeamService/DeleteTeam", primary(), delete, restricted=True, ends_team=True),
    Act(
        _TEAM,
        "leave",
        "TeamService/LeaveTeam",
        {"primary_owner": "CONFLICT", "owner": OK, "member": OK},
        with_fields(),
        restricted=True,
        frozen=True,
        ends_team=True,
    ),
)
"""The grid. A method with a permission that has no row here fails a test."""


def method_of(path: str) -> MethodDescriptor:
    """A method by its path in the table."""
    service, _, name = path.partition("/")
    full = f"babysea.{service if '.' in service else f'accounts.v1.{service}'}"
    return Default().FindServiceByName(full).methods_by_name[name]


def wire_path(method: MethodDescriptor) -> str:
    """A method's path as on the wire."""
    return f"/{method.containing_service.full_name}/{method.name}"


async def call(live: Live, method: MethodDescriptor, metadata: Metadata, request: Message) -> None:
    """Calls a method, streams to their end."""
    serialize = type(request).SerializeToString
    parse = GetMessageClass(method.output_type).FromString
    if method.server_streaming:
        stream: Any = live.channel.unary_stream(wire_path(method), serialize, parse)
        async for _ in stream(request, metadata=metadata):
            pass
    else:
        unary: Any = live.channel.unary_unary(wire_path(method), serialize, parse)
        await unary(request, metadata=metadata)


async def request_of(live: Live, act: Act, team: Team, role: str) -> Message:
    """A valid request of an act in a team."""
    fields = await act.make(live, team, role)
    return request_for(method_of(act.path), team.id, **fields)


def request_for(method: MethodDescriptor, account_id: UUID, **fields: Any) -> Message:
    """A request about an account, with further fields."""
    return GetMessageClass(method.input_type)(account_id=str(account_id), **fields)
