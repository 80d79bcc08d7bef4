"""Certificates in files that change while a program runs."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import grpc

_LOOK_SECONDS = 0.5


class TlsFilesError(ValueError):
    """Certificate files cannot be used; the message is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificates of one side of a connection stand, each a PEM file."""

    authorities: Path | None = None
    """Certificates of the authorities by which the other side is checked."""
    certificate: Path | None = None
    """Our own certificate and those between it and its authority."""
    key: Path | None = None
    """Key of our certificate."""

    @property
    def named(self) -> tuple[Path, ...]:
        """The files that there are."""
        return tuple(path for path in (self.authorities, self.certificate, self.key) if path is not None)


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """What the files held when they were read; None for a file that is not named."""

    authorities: bytes | None
    certificate: bytes | None
    key: bytes | None

    def for_client(self) -> grpc.ChannelCredentials:
        """Credentials of a client: checks the server, and shows our certificate where there is one."""
        return grpc.ssl_channel_credentials(self.authorities, self.key, self.certificate)


_Stamp = tuple[tuple[int, int, int], ...]


class TlsReader:
    """The newest usable content of certificate files.

    Files are replaced one after the other, so there are moments in which a key does not belong to its certificate. What
    was read last stays in use until everything fits together again.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Reads the files.

        Raises:
            TlsFilesError: they cannot be used.
        """
        if (files.certificate is None) != (files.key is None):
            raise TlsFilesError("A certificate and its key belong together; name both files or neither.")
        self._files = files
        self._stamp = _stamp(files)
        self._material = _read(files)
        self._looked = time.monotonic()

    def current(self, *, at_once: bool = False) -> TlsMaterial:
        """The content to use now; the same object for as long as no file changes.

        Args:
            at_once: look at the files in any case; otherwise at most twice a second.
        """
        now = time.monotonic()
        if not at_once and now - self._looked < _LOOK_SECONDS:
            return self._material
        self._looked = now
        try:
            stamp = _stamp(self._files)
            if stamp == self._stamp:
                return self._material
            material = _read(self._files)
            if _stamp(self._files) == stamp:
                self._material, self._stamp = material, stamp
        except TlsFilesError:
            # In the middle of a replacement, or a bad one: the old content works until it expires.
            return self._material
        return self._material


def _stamp(files: TlsFiles) -> _Stamp:
    try:
        facts = [path.stat() for path in files.named]
    except OSError as error:
        raise TlsFilesError(
            f"Cannot read {error.filename} ({error.strerror}); name a PEM file that this program may read."
        ) from None
    return tuple((fact.st_ino, fact.st_mtime_ns, fact.st_size) for fact in facts)


def _read(files: TlsFiles) -> TlsMaterial:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if files.authorities is not None:
        try:
            context.load_verify_locations(files.authorities)
        except (ssl.SSLError, OSError):
            raise TlsFilesError(
                f"{files.authorities} holds no certificates of authorities; name a PEM file that does."
            ) from None
    if files.certificate is not None and files.key is not None:
        try:
            # An encrypted key would ask at the terminal; nobody sits there.
            context.load_cert_chain(files.certificate, files.key, password=lambda: "")
        except (ssl.SSLError, OSError, ValueError):
            raise TlsFilesError(
                f"{files.certificate} and {files.key} are not a certificate and its key; name two PEM files that "
                "belong together, the key without a password."
            ) from None
    return TlsMaterial(_bytes(files.authorities), _bytes(files.certificate), _bytes(files.key))


def _bytes(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise TlsFilesError(f"Cannot read {path} ({error.strerror}).") from None
