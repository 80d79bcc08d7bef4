"""Token files: how our own services and operators prove who they are where there is no mTLS."""

from __future__ import annotations

import hmac
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from kit.ids import random_base62
from kit.settings import Region, Settings

OPERATOR_PREFIX = "op_"
"""Beginning of every operator token, which travels as "authorization: Bearer op_…"."""

SERVICE_PREFIX = "svc_"
"""Beginning of every service token, which travels in metadata of its own."""

_RANDOM_CHARACTERS = 43
_SHORTEST = 32


class TokenFileError(Exception):
    """A token file cannot be made or trusted; the message is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Identities:
    """The tokens that this server accepts; an empty one accepts nobody."""

    service_token: str = ""
    operator_token: str = ""
    certificate_region: Region | None = None
    """Region whose client certificates name callers; None where there is no mTLS."""

    def is_service(self, token: str) -> bool:
        """Whether a token is the one of our own services; takes the same time whatever it is."""
        return _same(self.service_token, token)

    def is_operator(self, token: str) -> bool:
        """Whether a token is the one of operators; takes the same time whatever it is."""
        return _same(self.operator_token, token)


def load_identities(settings: Settings) -> Identities:
    """The tokens that the settings name; a file that is not named accepts nobody. With mTLS no token counts.

    Raises:
        TokenFileError: a named file is absent, too open or not a token.
    """
    if settings.grpc_tls_client_ca_file is not None:
        # A token can be copied off one machine and used from any other.
        return Identities(certificate_region=settings.region)
    service, operator = settings.service_token_file, settings.operator_token_file
    return Identities(
        service_token="" if service is None else read_token(service),
        operator_token="" if operator is None else read_token(operator),
    )


def make_token(path: Path, prefix: str) -> str:
    """Makes a token file (mode 0600) unless it is there, and gives its token.

    Raises:
        TokenFileError: the file cannot be written, or the one that is there cannot be trusted.
    """
    token = prefix + random_base62(_RANDOM_CHARACTERS)
    # Linked into place whole, so that nobody ever reads half a token and the first of two makers wins.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return read_token(path)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return read_token(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise TokenFileError(
            f"Cannot make the token file {path} ({error.strerror}); choose a folder that you may write to."
        ) from error
    return token


def read_token(path: Path) -> str:
    """The token in a file that only its owner can read.

    Raises:
        TokenFileError: the file is absent, readable by others, or does not hold a token.
    """
    try:
        with path.open() as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            token = file.read(1000).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenFileError(
            f"Cannot read the token file {path}; make it, or name another one in the settings."
        ) from error
    if mode & 0o077:
        raise TokenFileError(
            f"The token file {path} can be read by others (mode {mode:04o}); run: chmod 600 {path}"
        )
    if len(token) < _SHORTEST or not token.isascii() or any(character.isspace() for character in token):
        raise TokenFileError(f"The token file {path} does not hold a token; delete it and make a new one.")
    return token


def _same(expected: str, given: str) -> bool:
    # Compared even when nothing is expected, so that the time says nothing about our settings.
    same = hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
    return same and bool(expected)
