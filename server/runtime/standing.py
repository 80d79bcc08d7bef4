"""How an account stands, and the one check of what it may still do."""

from __future__ import annotations

from typing import Literal

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError

Standing = Literal["active", "restricted", "frozen"]
"""active: everything. restricted: nothing new, what stands may be looked at and wound down. frozen: looking only."""


def check_standing(standing: Standing, *, while_restricted: bool, while_frozen: bool) -> None:
    """Lets an act pass that an account of this standing may still do.

    Args:
        standing: of the account.
        while_restricted: whether the act is open to a restricted account.
        while_frozen: whether it is open to a frozen one.

    Raises:
        BabySeaError: ACCOUNT_RESTRICTED.
    """
    allowed = {"active": True, "restricted": while_restricted, "frozen": while_frozen}
    if not allowed[standing]:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_RESTRICTED)
