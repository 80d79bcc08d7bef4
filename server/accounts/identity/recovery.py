"""Recovery codes: in place of an authenticator that is lost, each of them once."""

from __future__ import annotations

import secrets
from uuid import UUID

from server.runtime.encryption import Envelope

CODES = 10
"""How many a person gets at a time."""

# No letters that are read as digits or as one another.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_HALF = 6


def new_codes() -> list[str]:
    """Ten new codes, for example "k7m2pq-x9d4hw", of 59 random bits each."""
    return ["-".join(_random() for _ in range(2)) for _ in range(CODES)]


def code_hash(envelope: Envelope, person_id: UUID, code: str) -> bytes:
    """What is stored of a person's code; case, spaces and hyphens do not matter."""
    plain = "".join(character for character in code.lower() if character.isalnum())
    return envelope.keyed_hash("recovery_code", person_id.bytes + plain.encode())


def _random() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_HALF))
