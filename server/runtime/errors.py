"""Failures to start."""

from __future__ import annotations


class StartError(Exception):
    """The process cannot start; the message is one sentence that says what to do, without any secret."""

    exit_code = 3
    """Exit code of the process."""
