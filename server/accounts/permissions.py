"""The role grid: who may do what in an account, in one table. Tests go through it cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["primary_owner", "owner", "member"]
"""Stored are only owner and member; the primary owner is the owner that the account names."""

_EVERYBODY: frozenset[Role] = frozenset({"primary_owner", "owner", "member"})
_OWNERS: frozenset[Role] = frozenset({"primary_owner", "owner"})
_PRIMARY: frozenset[Role] = frozenset({"primary_owner"})


@dataclass(frozen=True, slots=True)
class Permission:
    """What somebody may do, and when."""

    roles: frozenset[Role]
    while_restricted: bool
    """Whether it is open in a restricted account: looking, leaving, and winding down what stands."""
    while_frozen: bool
    """Whether it is open in a frozen account: looking and leaving."""


def _view(roles: frozenset[Role] = _EVERYBODY) -> Permission:
    return Permission(roles, while_restricted=True, while_frozen=True)


def _wind_down(roles: frozenset[Role]) -> Permission:
    return Permission(roles, while_restricted=True, while_frozen=False)


def _change(roles: frozenset[Role]) -> Permission:
    return Permission(roles, while_restricted=False, while_frozen=False)


GRID: Mapping[str, Permission] = {
    "account.view": _view(),
    "account.edit": _change(_PRIMARY),
    "account.leave": _view(),
    "account.transfer": _wind_down(_PRIMARY),
    "account.delete": _wind_down(_PRIMARY),
    "settings.view": _view(),
    "settings.edit": _change(_PRIMARY),
    "alerts.view": _view(),
    "alerts.edit": _wind_down(_PRIMARY),
    "members.view": _view(),
    "members.invite": _change(_OWNERS),
    "members.change": _wind_down(_OWNERS),
    "invitations.view": _view(),
    "invitations.manage": _wind_down(_OWNERS),
    "keys.view": _view(),
    "keys.create": _change(_OWNERS),
    "keys.end": _wind_down(_OWNERS),
    "webhooks.view": _view(),
    "webhooks.manage": _change(_OWNERS),
    "domains.view": _view(),
    "domains.manage": _change(_OWNERS),
    "logs.view": _view(),
    "logs.export": _view(),
    "activity.view": _view(),
    "activity.export": _view(),
    "credits.view": _view(),
    "metrics.view": _view(),
    "generations.view": _view(),
    "billing.view": _view(),
    "billing.buy": _wind_down(_PRIMARY),
}
"""Permission by the name that the contract's access options use."""

Act = Literal["invite", "change_role", "remove"]

TARGETS: Mapping[tuple[Act, Role], frozenset[Role]] = {
    ("invite", "primary_owner"): frozenset({"owner", "member"}),
    ("invite", "owner"): frozenset({"owner", "member"}),
    ("invite", "member"): frozenset(),
    ("change_role", "primary_owner"): frozenset({"owner", "member"}),
    ("change_role", "owner"): frozenset({"member"}),
    ("change_role", "member"): frozenset(),
    ("remove", "primary_owner"): frozenset({"owner", "member"}),
    ("remove", "owner"): frozenset({"member"}),
    ("remove", "member"): frozenset(),
}
"""On whom an act may be done, by the act and the role of who does it. Nobody grants above the own level, and nobody does
any of it to the primary owner; for a change of role, the role that somebody has counts here, and the new one by `invite`."""


def role_of(stored: str, *, primary: bool) -> Role:
    """The role on the grid of a stored membership."""
    if primary:
        return "primary_owner"
    return "owner" if stored == "owner" else "member"
