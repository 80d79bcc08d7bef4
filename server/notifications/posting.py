"""Posting: a notice is queued by the transaction of the fact that it tells, so neither is there without the other.

Nothing is sent here. Values and addresses are sealed before they reach the database; an `event_key` names the fact (ids and
words of ours only), and the same fact is told once however often it is posted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.ids import uuid7
from server.notifications import store
from server.notifications.catalog import CATEGORIES, TEMPLATES, template_for
from server.runtime.encryption import Envelope

LETTER_DATA = "letter.data"
LETTER_TO = "letter.to"
"""Purposes under which a letter's values and its address are sealed; the record is the letter's id."""
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]{0,80}")


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail to post; made by `seal_letter`."""

    template: str
    event_key: str
    """Names the fact; unique in the region. No personal data."""
    data_ct: bytes
    """The template's values as sealed JSON."""
    sealed_by: UUID
    """Person or account whose data key sealed it."""
    person_id: UUID | None = None
    """Whom it goes to, at the address of the moment of sending, unless `to_ct` is given."""
    to_ct: bytes | None = None
    """Sealed address of somebody who is no person yet, or of a person's former or future address."""
    account_id: UUID | None = None
    """The account that it is about."""
    optional: str | None = None
    """Purpose that needs the person's consent; None when it needs none beyond its template's."""
    run_after: datetime | None = None
    """Not sent before; None for at once."""
    id: UUID = field(default_factory=uuid7)


async def seal_letter(
    envelope: Envelope,
    *,
    template: str,
    event_key: str,
    data: Mapping[str, str],
    sealed_by: UUID,
    person_id: UUID | None = None,
    to: str | None = None,
    account_id: UUID | None = None,
    optional: str | None = None,
    run_after: datetime | None = None,
) -> Letter:
    """A letter with its values, and its address if it is not the person's own, sealed under a data key.

    Args:
        envelope: seals.
        template: name in server/notifications/catalog.py.
        event_key: names the fact that it tells.
        data: exactly the values that the template declares.
        sealed_by: person or account whose data key seals; it must exist already.
        person_id: goes to this person.
        to: goes to this address instead of the person's current one.
        account_id: the account that it is about.
        optional: purpose of a consent without which it is not sent.
        run_after: not sent before.

    Raises:
        ValueError: the template does not exist or needs other values, or nobody is named.
    """
    template_for(template, data)
    if person_id is None and to is None:
        raise ValueError("a letter needs a person or an address")
    letter_id = uuid7()
    values = json.dumps(dict(data), ensure_ascii=False).encode()
    return Letter(
        template=template,
        event_key=event_key,
        data_ct=await envelope.seal(sealed_by, LETTER_DATA, letter_id, values),
        sealed_by=sealed_by,
        person_id=person_id,
        to_ct=None if to is None else await envelope.seal(sealed_by, LETTER_TO, letter_id, to.encode()),
        account_id=account_id,
        optional=optional,
        run_after=run_after,
        id=letter_id,
    )


async def post_email(connection: AsyncConnection, letter: Letter) -> None:
    """Queues a letter in the caller's transaction; one of the same `event_key` is queued once.

    The connection is of babysea_app or babysea_worker, in whatever transaction the fact is written.
    """
    template = TEMPLATES[letter.template]
    await store.queue_letter(
        connection,
        letter_id=letter.id,
        event_key=letter.event_key,
        template=template.name,
        version=template.version,
        category=template.category,
        optional=letter.optional or template.purpose,
        person_id=letter.person_id,
        to_ct=letter.to_ct,
        account_id=letter.account_id,
        sealed_by=letter.sealed_by,
        data_ct=letter.data_ct,
        run_after=letter.run_after,
    )


async def post_reset(connection: AsyncConnection, email_hash: bytes, event_key: str) -> None:
    """Queues a password reset for whoever has this address when it is sent, and for nobody if nobody has it.

    The work is the same either way, so the answer does not tell whether the address is known.
    """
    template = TEMPLATES["auth.password_reset"]
    await store.queue_letter(
        connection,
        letter_id=uuid7(),
        event_key=event_key,
        template=template.name,
        version=template.version,
        category=template.category,
        email_hash=email_hash,
    )


async def notify(
    connection: AsyncConnection,
    *,
    account_id: UUID | None,
    person_ids: Sequence[UUID],
    category: str,
    kind: str,
    event_key: str,
    data: Mapping[str, str | int],
) -> None:
    """Tells people in the app, in the caller's transaction, once per person and `event_key`.

    Args:
        connection: of babysea_app or babysea_worker.
        account_id: the account that it is about; None when it is about the person.
        person_ids: whom to tell; those who turned the category off are left out.
        category: one of CATEGORIES.
        kind: what happened, for example "team.role_changed".
        event_key: names the fact.
        data: ids, words of ours and numbers. Nothing that a person wrote: the inbox is not sealed.

    Raises:
        ValueError: the category is unknown, or a value could hold more than an id or a word.
    """
    if category not in CATEGORIES:
        raise ValueError(f"there is no category {category} of notices")
    for name, value in data.items():
        if isinstance(value, str) and not _PLAIN.fullmatch(value):
            raise ValueError(f"{name} is neither an id nor a word; the inbox keeps nothing else")
    if person_ids:
        await store.notify(connection, account_id, person_ids, category, kind, event_key, data)
