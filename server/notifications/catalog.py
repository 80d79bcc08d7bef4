"""Every e-mail that we send: its kind, its category, and the values that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How far a person decides about a letter."""

    SECURITY = "security"
    """Always sent: it protects the account, or the person asked for it."""
    ACCOUNT = "account"
    """Sent unless the person turned its category off."""
    OPTIONAL = "optional"
    """Sent only with the person's consent to its purpose."""


CATEGORIES = ("security", "account", "team", "api_key", "credit", "product")
"""What notices are about. `security` cannot be turned off."""


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of e-mail."""

    name: str
    version: int
    """The newest version, which new letters get; queued ones keep theirs."""
    kind: Kind
    category: str
    variables: frozenset[str]
    """Values that a letter must bring, all of them and no others."""
    purpose: str | None = None
    """What an optional letter needs the person's consent to."""


def _template(
    name: str, kind: Kind, category: str, variables: Iterable[str] = (), purpose: str | None = None
) -> tuple[str, Template]:
    return name, Template(name, 1, kind, category, frozenset(variables), purpose)


TEMPLATES: Mapping[str, Template] = dict(
    [
        _template("auth.verify_email", Kind.SECURITY, "security", ["token", "hours"]),
        _template("auth.already_registered", Kind.SECURITY, "security"),
        _template("auth.password_reset", Kind.SECURITY, "security", ["token"]),
        _template("auth.password_changed", Kind.SECURITY, "security"),
        _template("auth.email_change_confirm", Kind.SECURITY, "security", ["token", "hours"]),
        _template("auth.email_changed", Kind.SECURITY, "security"),
        _template("auth.new_sign_in", Kind.SECURITY, "security", ["device"]),
        _template("auth.mfa_enabled", Kind.SECURITY, "security"),
        _template("auth.mfa_disabled", Kind.SECURITY, "security"),
        _template("auth.recovery_code_used", Kind.SECURITY, "security", ["left"]),
        _template("auth.identity_linked", Kind.SECURITY, "security"),
        _template("team.invitation", Kind.SECURITY, "team", ["team", "inviter", "role", "token", "days"]),
        _template("team.role_changed", Kind.ACCOUNT, "team", ["team", "role"]),
        _template("team.removed", Kind.ACCOUNT, "team", ["team"]),
        _template("team.ownership_transferred", Kind.SECURITY, "team", ["team", "owner"]),
        _template("team.deleted", Kind.SECURITY, "team", ["team"]),
        _template("key.created", Kind.ACCOUNT, "api_key", ["account", "key_name", "key_prefix"]),
        _template("key.revoked", Kind.ACCOUNT, "api_key", ["account", "key_name", "key_prefix"]),
        _template("account.standing_changed", Kind.SECURITY, "account", ["account", "standing"]),
        _template("credits.low_balance", Kind.ACCOUNT, "credit", ["account", "balance", "threshold"]),
        _template("credits.welcome", Kind.ACCOUNT, "credit", ["amount"]),
    ]
)
"""By name."""


def template_for(name: str, given: Iterable[str]) -> Template:
    """The newest version of a template.

    Raises:
        ValueError: there is none of this name, or the values are not exactly those that it declares.
    """
    template = TEMPLATES.get(name)
    if template is None:
        raise ValueError(f"there is no e-mail template {name}")
    if frozenset(given) != template.variables:
        raise ValueError(
            f"{name} needs exactly the values {', '.join(sorted(template.variables)) or '(none)'}"
        )
    return template
