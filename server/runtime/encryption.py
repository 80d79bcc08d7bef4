"""Encryption of customer content: a data key per account, wrapped by the region's master key.

Data keys live in the vault, a database of their own: a backup of the data cannot be read without the vault and the
master key, and destroying a data key erases everything written under it, wherever copies of it lie.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextvars
import hashlib
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_FORMAT = b"\x01"
_NONCE_BYTES = 12
_HEADER_BYTES = len(_FORMAT) + _NONCE_BYTES
_TAG_BYTES = 16
_CACHED_KEYS = 10_000
_FRESH_SECONDS = 60.0
"""How long a data key is used without asking the vault again: so soon every process follows a destruction."""

_INSERT = text(
    "insert into vault.data_key (account_id, wrapped) values (:account, :wrapped) on conflict (account_id) do nothing"
)
_SELECT = text("select wrapped from vault.data_key where account_id = :account")
_DESTROY = text(
    "update vault.data_key set wrapped = null, destroyed_at = now() where account_id = :account and destroyed_at is null"
)


class DecryptionError(Exception):
    """A ciphertext was altered, belongs to another record, or its data key cannot be had."""


class DataKeyGoneError(DecryptionError):
    """The account's data key was destroyed or never made: nothing sealed under it can be read again."""


@dataclass(frozen=True, slots=True)
class _CachedKey:
    key: AESGCM
    read_at: float


class MasterKey:
    """The region's master key: wraps data keys and derives the keys of signatures and keyed hashes."""

    def __init__(self, encoded: str) -> None:
        """Takes 32 bytes in base64.

        Raises:
            ValueError: the text is not that; the message says what to do.
        """
        try:
            key = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 32:
            raise ValueError("BABYSEA_MASTER_KEY must be 32 random bytes in base64.")
        self._wrapping = AESGCM(self._derive(key, "wrap"))
        self._root = key

    @staticmethod
    def _derive(key: bytes, purpose: str) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"babysea:" + purpose.encode()).derive(key)

    def derived(self, purpose: str) -> bytes:
        """32 bytes for one purpose, the same in every process of the region."""
        return self._derive(self._root, purpose)

    def wrap(self, account_id: UUID, data_key: bytes) -> bytes:
        """A data key, readable only with this master key and for this account."""
        return _sealed(self._wrapping, data_key, account_id.bytes)

    def unwrap(self, account_id: UUID, wrapped: bytes) -> bytes:
        """The data key inside.

        Raises:
            DecryptionError: it was wrapped by another master key or for another account.
        """
        return _opened(self._wrapping, wrapped, account_id.bytes, "a data key")


class Envelope:
    """Seals and opens content under the data key of its account."""

    def __init__(
        self, master: MasterKey, vault: AsyncEngine, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.master = master
        self._vault = vault
        self._monotonic = monotonic
        self._keys: OrderedDict[UUID, _CachedKey] = OrderedDict()
        self._reading: dict[UUID, asyncio.Task[AESGCM]] = {}
        self._destructions = 0
        self._fingerprint_key = master.derived("fingerprint")

    async def create_data_key(self, account_id: UUID) -> None:
        """Makes the account's data key unless it has one."""
        wrapped = self.master.wrap(account_id, AESGCM.generate_key(256))
        async with self._vault.begin() as connection:
            await connection.execute(_INSERT, {"account": account_id, "wrapped": wrapped})
        # A look that began before the key was there would say that there is none.
        self._reading.pop(account_id, None)

    async def destroy_data_key(self, account_id: UUID) -> None:
        """Erases the account's content for good: nothing written under the key can be read again."""
        async with self._vault.begin() as connection:
            await connection.execute(_DESTROY, {"account": account_id})
        # After the commit, and marked, so that a read which overlapped it puts nothing back.
        self._destructions += 1
        self._keys.pop(account_id, None)
        self._reading.pop(account_id, None)

    async def seal(self, account_id: UUID, purpose: str, record: UUID, plaintext: bytes) -> bytes:
        """Ciphertext that opens only for the same account, purpose and record."""
        return _sealed(await self._key(account_id), plaintext, _bound(account_id, purpose, record))

    async def open(self, account_id: UUID, purpose: str, record: UUID, ciphertext: bytes) -> bytes:
        """The plaintext.

        Raises:
            DecryptionError: the ciphertext was altered or belongs elsewhere, or its key is gone.
        """
        key = await self._key(account_id)
        return _opened(key, ciphertext, _bound(account_id, purpose, record), purpose)

    def keyed_hash(self, purpose: str, content: bytes) -> bytes:
        """A fingerprint of content that says nothing about it without the region's key; 32 bytes."""
        return hmac.digest(self._fingerprint_key, purpose.encode() + b"\x00" + content, hashlib.sha256)

    def address_hash(self, address: str) -> bytes:
        """What stands for a client's address wherever one is kept, so that equal addresses meet; 32 bytes."""
        return self.keyed_hash("client_address", address.encode())

    async def _key(self, account_id: UUID) -> AESGCM:
        cached = self._keys.get(account_id)
        if cached is not None and self._monotonic() - cached.read_at < _FRESH_SECONDS:
            self._keys.move_to_end(account_id)
            return cached.key
        # A burst of one account asks once: the vault has few connections.
        reading = self._reading.get(account_id)
        if reading is None:
            # In an empty context: it answers every caller, so it belongs to nobody's trace.
            reading = asyncio.create_task(self._read(account_id), context=contextvars.Context())
            self._reading[account_id] = reading
            reading.add_done_callback(lambda done: self._forget_reading(account_id, done))
        return await asyncio.shield(reading)

    def _forget_reading(self, account_id: UUID, done: asyncio.Task[AESGCM]) -> None:
        if self._reading.get(account_id) is done:
            del self._reading[account_id]
        if not done.cancelled():
            # Seen by whoever waited; nobody may be left when every caller has gone.
            done.exception()

    async def _read(self, account_id: UUID) -> AESGCM:
        destructions = self._destructions
        async with self._vault.connect() as connection:
            wrapped = (await connection.execute(_SELECT, {"account": account_id})).scalar_one_or_none()
        if wrapped is None:
            self._keys.pop(account_id, None)
            raise DataKeyGoneError("the account's data key does not exist or was destroyed")
        key = AESGCM(self.master.unwrap(account_id, bytes(wrapped)))
        if destructions == self._destructions:
            self._keys[account_id] = _CachedKey(key, self._monotonic())
            self._keys.move_to_end(account_id)
            if len(self._keys) > _CACHED_KEYS:
                self._keys.popitem(last=False)
        return key


def _sealed(key: AESGCM, plaintext: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return _FORMAT + nonce + key.encrypt(nonce, plaintext, _FORMAT + bound)


def _opened(key: AESGCM, ciphertext: bytes, bound: bytes, what: str) -> bytes:
    if len(ciphertext) < _HEADER_BYTES + _TAG_BYTES or ciphertext[:1] != _FORMAT:
        raise DecryptionError(f"this is not a sealed {what}")
    try:
        return key.decrypt(ciphertext[1:_HEADER_BYTES], ciphertext[_HEADER_BYTES:], _FORMAT + bound)
    except InvalidTag as error:
        raise DecryptionError(f"{what} was altered, belongs elsewhere, or has another key") from error


def _bound(account_id: UUID, purpose: str, record: UUID) -> bytes:
    return account_id.bytes + record.bytes + purpose.encode()
