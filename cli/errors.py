"""How a command ends: its exit codes, and the one sentence that a person gets."""

from __future__ import annotations

import errno
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `babysea`."""

    OK = 0
    FAILED = 1
    """It was tried and did not work."""
    USAGE = 2
    """The command line makes no sense."""
    UNREACHABLE = 3
    """Nothing runs here, or it does not answer."""
    REFUSED = 4
    """The service understood and said no."""
    INTERRUPTED = 130
    """Ctrl-C."""


class CliError(Exception):
    """Ends the command with one sentence that says what to do, and an exit code."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def explain(error: Exception) -> CliError:
    """The one sentence about an exception that nobody turned into one before.

    The text of an unknown exception is not shown, as it may hold a URL with its password; `--debug` shows it.
    """
    if isinstance(error, CliError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        return _about_system(error)
    known = _about_settings(error) or _with_message(error)
    if known is not None:
        return known
    return CliError(
        f"An unexpected {type(error).__name__} stopped this command; run it again with --debug to see where."
    )


def _about_system(error: OSError) -> CliError:
    where = f" ({error.filename})" if error.filename else ""
    reason = (error.strerror or "input/output error").rstrip(".")
    if error.errno == errno.EADDRINUSE:
        return CliError(
            "The address to listen on is taken; end the program that uses it or name another port."
        )
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return CliError(f"The disk is full{where}; free some space and start again.")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return CliError(f"Not allowed to write or read there{where}; choose another folder with --data-dir.")
    if error.errno in {errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ETIMEDOUT}:
        return CliError(
            "What this command talks to does not answer; see `babysea doctor` for what is running.",
            Exit.UNREACHABLE,
        )
    return CliError(f"The system said: {reason}{where}; correct that and try again.")


def _about_settings(error: Exception) -> CliError | None:
    """The sentence about settings that pydantic refused; their values stay unsaid."""
    problems = getattr(error, "errors", None)
    if type(error).__name__ != "ValidationError" or not callable(problems):
        return None
    first = problems(include_url=False, include_input=False, include_context=False)[0]
    name = "BABYSEA_" + "_".join(str(part) for part in first["loc"]).upper()
    return CliError(
        f"The setting {name} is not valid ({first['msg']}); correct it in the environment.", Exit.USAGE
    )


def _with_message(error: Exception) -> CliError | None:
    """The sentence of an error of ours, whose type promises one."""
    module = type(error).__module__
    if not module.startswith(("server.", "sandbox.", "gateway.", "kit.")):
        return None
    text = str(getattr(error, "message", "") or error)
    return CliError(text) if text and "\n" not in text else None
