"""Recording choices: of a person, at sign-up, and of a visitor. A choice is only ever added.

A sign-up is two steps. Where it is asked for, `check_sign_up(versions)` refuses one that did not accept what nobody can have
an account without; the versions, by purpose, are those that were shown (`ListTexts`), and are kept with the waiting sign-up.
Where the person is made, in the transaction that writes the person (app.person_id must be set, as `person_transaction` and
`member_transaction` do):

    await record_at_sign_up(connection, person_id, versions, address_hash)

At sign-in `adopt_visitor` takes over what was chosen at the same browser before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError, invalid
from kit.ids import uuid7
from server.privacy import store
from server.privacy.store import NewChoice, ShownText
from server.privacy.texts import DEFAULT_LOCALE, NECESSARY_AT_SIGN_UP, Purpose, TextVersion, purposes
from server.runtime.encryption import Envelope


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody chose, and the version that was shown."""

    purpose: str
    version: str
    granted: bool
    locale: str = DEFAULT_LOCALE


def address_hash(envelope: Envelope, address: str) -> bytes | None:
    """What is stored of a client's address: 32 bytes that tell nothing about it; None when it is not known."""
    return envelope.address_hash(address) if address else None


def visitor_hash(envelope: Envelope, visitor_id: str) -> bytes:
    """What is stored of a visitor's random id."""
    return envelope.keyed_hash("visitor", visitor_id.encode())


def current_versions(at: datetime) -> dict[str, str]:
    """The version to show of every purpose that a sign-up needs."""
    return {name: purposes()[name].current(at).version for name in NECESSARY_AT_SIGN_UP}


def check_sign_up(versions: Mapping[str, str], at: datetime) -> None:
    """Refuses a sign-up that did not accept exactly the necessary texts, each in a version that holds.

    Raises:
        BabySeaError: INVALID_INPUT naming "accepted_versions".
    """
    if set(versions) != set(NECESSARY_AT_SIGN_UP):
        raise invalid("accepted_versions", f"Accept exactly {', '.join(NECESSARY_AT_SIGN_UP)}.")
    for name in NECESSARY_AT_SIGN_UP:
        if not purposes()[name].counts(versions[name], at):
            title = purposes()[name].current(at).text(DEFAULT_LOCALE).title
            raise invalid("accepted_versions", f"Accept the current version of: {title}.")


async def record_at_sign_up(
    connection: AsyncConnection, person_id: UUID, versions: Mapping[str, str], address_hash: bytes | None
) -> None:
    """Records what a new person accepted when asking for the account.

    A version that ceased to hold since is recorded all the same, and the person is asked anew.

    Args:
        connection: in a transaction of that person.
        person_id: the new person.
        versions: as `check_sign_up` let them pass.
        address_hash: keyed hash of the client's address, as of `address_hash`.

    Raises:
        LookupError: `check_sign_up` did not see these versions.
    """
    choices = [Choice(name, versions[name], granted=True) for name in NECESSARY_AT_SIGN_UP]
    await _record(connection, person_id, choices, address_hash, "sign_up")


async def record_choices(
    connection: AsyncConnection,
    person_id: UUID,
    choices: Sequence[Choice],
    address_hash: bytes | None,
    *,
    at: datetime,
    source: str = "settings",
) -> None:
    """Records what a person chose in the settings, or by the link of a letter (source "unsubscribe").

    Raises:
        BabySeaError: INVALID_INPUT naming the field: an unknown or repeated purpose, a version that does not hold any more,
            or the refusal of something necessary.
    """
    _check(choices, at, visitor=False)
    await _record(connection, person_id, choices, address_hash, source)


async def record_visitor_choices(
    connection: AsyncConnection,
    visitor: bytes,
    choices: Sequence[Choice],
    address_hash: bytes | None,
    *,
    at: datetime,
) -> None:
    """Records what a visitor chose; `visitor` is a `visitor_hash`.

    Raises:
        BabySeaError: INVALID_INPUT, also for a purpose that is not open to visitors.
    """
    _check(choices, at, visitor=True)
    await _register(connection, choices)
    await store.insert_visitor_choices(connection, visitor, _new(choices), address_hash)


async def adopt_visitor(connection: AsyncConnection, visitor: bytes) -> int:
    """Gives what a visitor chose to the person of the transaction, with its own times; how many choices these were.

    Each choice is given once: the next person at the same browser does not get it.
    """
    return await store.adopt_visitor(connection, visitor)


async def _record(
    connection: AsyncConnection,
    person_id: UUID,
    choices: Sequence[Choice],
    address_hash: bytes | None,
    source: str,
) -> None:
    await _register(connection, choices)
    await store.insert_choices(connection, person_id, _new(choices), address_hash, source)


async def _register(connection: AsyncConnection, choices: Sequence[Choice]) -> None:
    shown = [_shown(choice) for choice in choices]
    if not await store.register_texts(connection, shown):
        # A deployment with changed words under an old version: nobody may be taken at a word that was not shown.
        raise BabySeaError(
            error_reason_pb2.ERROR_REASON_CONFLICT,
            "This text was published in other words before; it needs a new version.",
        )


def _check(choices: Sequence[Choice], at: datetime, *, visitor: bool) -> None:
    seen: set[str] = set()
    for choice in choices:
        purpose = purposes().get(choice.purpose)
        if purpose is None or (visitor and not purpose.visitors):
            open_to = [name for name, each in purposes().items() if each.visitors or not visitor]
            raise invalid("choices.purpose", f"purpose must be one of {', '.join(open_to)}.")
        if choice.purpose in seen:
            raise invalid("choices.purpose", f"Choose about {choice.purpose} once.")
        seen.add(choice.purpose)
        _check_version(choice, purpose, at)
        if purpose.necessary and not choice.granted:
            raise invalid(
                "choices.granted", f"{choice.purpose} is necessary; delete the account to end the agreement."
            )


def _check_version(choice: Choice, purpose: Purpose, at: datetime) -> None:
    if not purpose.counts(choice.version, at):
        raise invalid(
            "choices.version",
            f"This version of {choice.purpose} does not hold; show version {purpose.current(at).version}.",
        )
    if choice.locale not in {text.locale for text in _version(choice, purpose).texts}:
        raise invalid("choices.locale", f"There is no text of {choice.purpose} in this language.")


def _version(choice: Choice, purpose: Purpose) -> TextVersion:
    found = next((version for version in purpose.versions if version.version == choice.version), None)
    if found is None:
        raise LookupError(f"{choice.purpose} has no version {choice.version}")
    return found


def _shown(choice: Choice) -> ShownText:
    version = _version(choice, purposes()[choice.purpose])
    text = version.text(choice.locale)
    return ShownText(
        purpose=choice.purpose,
        version=choice.version,
        locale=choice.locale,
        title=text.title,
        sha256=bytes.fromhex(text.sha256),
        effective_from=version.effective_from,
    )


def _new(choices: Sequence[Choice]) -> list[NewChoice]:
    return [
        NewChoice(uuid7(), choice.purpose, choice.version, choice.locale, choice.granted)
        for choice in choices
    ]
