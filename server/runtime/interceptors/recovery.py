"""Recovery: whatever a handler raises reaches the client as one of our errors, without a word of its text."""

from __future__ import annotations

import logging
from typing import ClassVar

import grpc

from kit.errors import BabySeaError
from server.runtime.interceptors.call import Call, Proceed
from server.runtime.interceptors.outcome import public_error

_log = logging.getLogger("babysea.recovery")


class Recovery:
    """Turns every exception into a rich status; what was not meant for a caller is logged by type and place."""

    name: ClassVar[str] = "recovery"
    after: ClassVar[tuple[str, ...]] = ("tracing",)

    async def around(self, call: Call, proceed: Proceed) -> object:
        """Lets the call proceed and answers for its failure."""
        try:
            return await proceed()
        except grpc.aio.AbortError:
            # A handler that is not ours (health) has already answered.
            raise
        except BabySeaError as error:
            await call.refuse(error)
        except Exception as error:  # noqa: BLE001  the purpose of this stage
            _log.exception("a call failed", extra={"facts": {"method": call.method.path}})
            await call.refuse(public_error(error))
        return None
