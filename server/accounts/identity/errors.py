"""The errors of identity, each in one place, so that none tells more than another."""

from __future__ import annotations

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError, invalid


def wrong_credentials() -> BabySeaError:
    """E-mail or password is wrong, and nobody is told which."""
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED, "The e-mail or the password is wrong."
    )


def wrong_code() -> BabySeaError:
    """The second factor is wrong or was used already."""
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED,
        "The code is wrong or was used already; use the next one.",
        details={"second_factor": "wrong"},
    )


def sign_in_again() -> BabySeaError:
    """What the sign-in relied on has changed or is over."""
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED, "The sign-in is over; begin it again."
    )


def not_the_chosen_one() -> BabySeaError:
    """The password is not the one of the sign-up whose letter came."""
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED,
        "The password is not the one that this sign-up chose; enter that one, or sign up again.",
    )


def session_over() -> BabySeaError:
    """The session of the call ended while the call was made."""
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED, "The session has ended; sign in again."
    )


def spent_token() -> BabySeaError:
    """The token of a letter is unknown, used or too old."""
    return invalid("token", "The link is not valid any more; ask for a new one.")


def wrong_password(field: str) -> BabySeaError:
    """A signed-in person did not prove the present password."""
    return invalid(field, "The present password is wrong.")


def conflict(message: str) -> BabySeaError:
    """The request does not fit how things stand."""
    return BabySeaError(error_reason_pb2.ERROR_REASON_CONFLICT, message)


def not_found(message: str) -> BabySeaError:
    """There is no such thing of this person."""
    return BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND, message)
