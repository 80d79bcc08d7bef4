"""Sending into a folder: what a laptop without a mail server does with its letters."""

from __future__ import annotations

import asyncio
import os
from email.message import EmailMessage
from pathlib import Path

from server.notifications.mailing import DelayedError


class FileMailer:
    """Writes one .eml file a message, named by its Message-ID, so that a second sending replaces the first."""

    def __init__(self, folder: Path) -> None:
        """Takes the folder, which is made with the first message and is its owner's alone."""
        self._folder = folder

    async def send(self, message: EmailMessage, to: str) -> None:
        """Writes the message whole or not at all.

        Raises:
            DelayedError: the folder cannot be written.
        """
        name = message["Message-ID"].strip("<>").partition("@")[0]
        try:
            await asyncio.to_thread(self._write, f"{name}.eml", message.as_bytes())
        except OSError as error:
            raise DelayedError("folder") from error

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        half = self._folder / f".{name}.{os.getpid()}"
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        half.replace(self._folder / name)
