"""E-mail addresses: one spelling each, and what stands for them in look-ups."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from email_validator import EmailNotValidError, validate_email

from kit.errors import invalid
from server.runtime.encryption import Envelope


def normalised_email(email: str, field: str = "email") -> str:
    """The address in the one spelling by which it is looked up: lower case, domain in ASCII.

    Raises:
        BabySeaError: INVALID_INPUT naming the field for text that is no address.
    """
    try:
        checked = validate_email(email.strip(), check_deliverability=False)
    except EmailNotValidError:
        raise invalid(field, f"{field} must be an e-mail address.") from None
    # The form in which mail servers take a domain; the local part stays as it is composed.
    return f"{checked.local_part}@{checked.ascii_domain}".lower()


def email_hash(envelope: Envelope, normalised: str) -> bytes:
    """What stands for an address in the database."""
    return envelope.keyed_hash("person.email", normalised.encode())


def network_of(address: str) -> str:
    """What attempts of an address are counted for: the address, or the /64 of IPv6, which is one customer's line."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return parsed.exploded[:19] if isinstance(parsed, IPv6Address) else str(parsed)
