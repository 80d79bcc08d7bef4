"""A sender as a program of its own, which ends itself by SIGKILL at a moment of its choice.

Arguments: "before" or "after" the first letter was handed over. Settings come from the environment, as in a worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from email.message import EmailMessage
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.settings import Settings
from server.notifications.assembly import open_mailer, open_sender
from server.notifications.mailing import Mailer
from server.runtime.dependencies import open_dependencies


class Dying:
    """A mailer whose process dies around the handing over."""

    def __init__(self, mailer: Mailer, moment: str) -> None:
        self._mailer = mailer
        self._moment = moment

    async def send(self, message: EmailMessage, to: str) -> None:
        """Dies before it, or hands over and dies."""
        if self._moment == "after":
            await self._mailer.send(message, to)
        os.kill(os.getpid(), signal.SIGKILL)


async def no_token(connection: AsyncConnection, person_id: UUID) -> str:
    """No reset is sent here."""
    raise NotImplementedError


async def main(moment: str) -> None:
    """Sends until it dies."""
    settings = Settings()
    shared = open_dependencies(settings)
    mailer = Dying(open_mailer(settings), moment)
    async with open_sender(shared, make_reset_token=no_token, mailer=mailer):
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
