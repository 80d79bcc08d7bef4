"""The errors of teams, each in one place."""

from __future__ import annotations

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError


def conflict(message: str) -> BabySeaError:
    """The request does not fit how things stand."""
    return BabySeaError(error_reason_pb2.ERROR_REASON_CONFLICT, message)


def no_invitation() -> BabySeaError:
    """The invitation does not exist, belongs to another team, or has ended: one answer for all of it."""
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_NOT_FOUND,
        "There is no such invitation, or it has ended; ask for a new one.",
    )


def no_member() -> BabySeaError:
    """The person is not in the team, whoever else it may be."""
    return BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND, "There is no such member in this team.")


def above_own_level(act: str) -> BabySeaError:
    """The role of the caller does not reach whom the act is about."""
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_INSUFFICIENT_PERMISSIONS,
        f"Your role in this account does not allow to {act}.",
        details={"act": act.replace(" ", "_")},
    )


def personal() -> BabySeaError:
    """A personal account has exactly one person."""
    return conflict("A personal account has no members; make a team.")
