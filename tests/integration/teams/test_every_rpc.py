"""Every method of the server by every kind of caller, against the access rule in the contract."""

from __future__ import annotations

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from babysea.options.v1 import options_pb2
from tests.integration.teams.acts import call, wire_path
from tests.integration.teams.live import Live, Metadata, Team, bearer, reason
from tests.integration.teams.rpcs import every_rpc
from tests.support.people import new_session

WHO = ("primary_owner", "owner", "member", "other_tenant", "key", "nobody")
THROUGH = "through"
GATE = {
    "AUTHENTICATION_REQUIRED",
    "AUTHENTICATION_FAILED",
    "AUTH_RATE_LIMITED",
    "INSUFFICIENT_PERMISSIONS",
    "ACCOUNT_NOT_FOUND",
    "ACCOUNT_RESTRICTED",
    "RATE_LIMIT_EXCEEDED",
}
"""Refusals of who calls; whatever else an empty request leads to, the caller was let through."""

_ALL = frozenset({"primary_owner", "owner", "member"})
_OWNERS = frozenset({"primary_owner", "owner"})
_PRIMARY = frozenset({"primary_owner"})
PERMISSIONS = {
    "account.view": _ALL,
    "account.leave": _ALL,
    "settings.view": _ALL,
    "alerts.view": _ALL,
    "members.view": _ALL,
    "invitations.view": _ALL,
    "keys.view": _ALL,
    "logs.view": _ALL,
    "logs.export": _ALL,
    "activity.view": _ALL,
    "activity.export": _ALL,
    "credits.view": _ALL,
    "members.invite": _OWNERS,
    "members.change": _OWNERS,
    "invitations.manage": _OWNERS,
    "keys.create": _OWNERS,
    "keys.end": _OWNERS,
    "account.edit": _PRIMARY,
    "account.transfer": _PRIMARY,
    "account.delete": _PRIMARY,
    "settings.edit": _PRIMARY,
    "alerts.edit": _PRIMARY,
}
"""Roles by permission, from section 13 of the public contract. A new permission without a row fails the test."""


def expected(method: MethodDescriptor, who: str) -> str:
    """What the contract says about a caller."""
    access = method.GetOptions().Extensions[options_pb2.access]
    audiences = frozenset(access.audience)
    if options_pb2.PUBLIC in audiences:
        return THROUGH
    if who == "key" and options_pb2.CUSTOMER in audiences:
        return THROUGH
    if who not in {"key", "nobody"} and options_pb2.USER in audiences:
        if not access.permission:
            return THROUGH
        if who == "other_tenant":
            return "ACCOUNT_NOT_FOUND"
        return THROUGH if who in PERMISSIONS[access.permission] else "INSUFFICIENT_PERMISSIONS"
    if who == "nobody" or options_pb2.CUSTOMER in audiences:
        return "AUTHENTICATION_REQUIRED"
    return "INSUFFICIENT_PERMISSIONS"


async def found(live: Live, method: MethodDescriptor, team: Team, metadata: Metadata) -> str:
    """What becomes of a call about a team that is empty otherwise."""
    message = GetMessageClass(method.input_type)
    names_account = "account_id" in method.input_type.fields_by_name
    request = message(account_id=str(team.id)) if names_account else message()
    ended = await reason(call(live, method, metadata, request))
    assert ended != "INTERNAL_ERROR", method.full_name
    return ended if ended in GATE else THROUGH


async def test_every_method_lets_through_whom_the_contract_names_and_nobody_else(live: Live) -> None:
    seen: dict[tuple[str, str], str] = {}
    wanted: dict[tuple[str, str], str] = {}
    other = await live.team()
    lasting = await live.team()
    secret = await live.key(lasting.id)
    methods = list(every_rpc(live.server))
    for method in methods:
        # These two end what the next call needs.
        fresh = method.name in {"LeaveTeam", "DeleteTeam"}
        team = await live.team() if fresh else lasting
        for who in WHO:
            if who == "nobody":
                metadata: Metadata = ()
            elif who == "key":
                metadata = bearer(secret)
            else:
                person = other.owner if who == "other_tenant" else team[who]
                metadata = bearer(await new_session(live.region, person.id, now=live.clock.now()))
            seen[wire_path(method), who] = await found(live, method, team, metadata)
            wanted[wire_path(method), who] = expected(method, who)
    print(f"{'':<62}", *(f"{who:<25}" for who in WHO))
    for method in methods:
        path = wire_path(method)
        print(f"{path.removeprefix('/babysea.'):<62}", *(f"{seen[path, who]:<25}" for who in WHO))
    assert seen == wanted
    assert len(methods) >= 80


async def test_no_key_makes_widens_or_ends_a_key_and_none_reads_what_is_the_members(live: Live) -> None:
    team = await live.team()
    secret = await live.key(team.id)
    for method in every_rpc(live.server):
        access = method.GetOptions().Extensions[options_pb2.access]
        if options_pb2.USER in access.audience:
            ended = await found(live, method, team, bearer(secret))
            assert ended == "INSUFFICIENT_PERMISSIONS", method.full_name
            assert options_pb2.CUSTOMER not in access.audience, method.full_name
    keys = await live.rows("select id from keys.api_key where account_id = $1", team.id)
    assert len(keys) == 1
