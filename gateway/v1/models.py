"""Model identifiers as they stand in paths."""

from __future__ import annotations

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError

_LONGEST = 200


def check_identifier(model_identifier: str) -> None:
    """Lets an identifier pass that a model could have.

    Raises:
        BabySeaError: MODEL_NOT_FOUND, as for any identifier that no model has.
    """
    if not 0 < len(model_identifier) <= _LONGEST or not model_identifier.isprintable():
        raise BabySeaError(error_reason_pb2.ERROR_REASON_MODEL_NOT_FOUND)
