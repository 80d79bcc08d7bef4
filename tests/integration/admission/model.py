"""What admit_many must answer, as a few dictionaries and one request after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tests.integration.admission.calling import Ask

MOST = 10**12
Answer = tuple[str, UUID | None, int | None]


@dataclass
class Account:
    """An account as the model knows it."""

    posted: int
    limit: int
    frozen: bool = False
    credit_line: int = 0
    strict: bool = False
    held: int = 0
    open_holds: int = 0
    version: int = 0

    @property
    def available(self) -> int:
        """What can be spent."""
        return self.posted - self.held


@dataclass
class Hold:
    """A hold as the model knows it."""

    account: UUID
    amount: int
    fingerprint: bytes
    state: str = "held"


@dataclass
class Model:
    """All accounts, claims, holds and usable API keys."""

    accounts: dict[UUID, Account] = field(default_factory=dict)
    claims: dict[tuple[UUID, bytes], tuple[UUID, bytes]] = field(default_factory=dict)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    active_keys: dict[UUID, UUID] = field(default_factory=dict)
    """API key to account."""

    def admit(self, asks: Sequence[Ask]) -> list[Answer]:
        """The answers, by position. A copy with a key hears "replayed" where it would hear "already_held" later."""
        fresh: set[UUID] = set()
        return [self._one(ask, fresh) for ask in asks]

    def _one(self, ask: Ask, fresh: set[UUID]) -> Answer:
        claim = self.claims.get((ask.account, ask.key)) if ask.key is not None else None
        known = ask.id in self.holds and ask.id not in fresh
        # A retry of an older id is answered from its record though its key was taken over in this very batch.
        if claim is not None and not (known and claim[0] in fresh):
            generation, fingerprint = claim
            if fingerprint != ask.fingerprint:
                return "key_conflict", None, None
            if generation != ask.id or generation in fresh:
                return "replayed", generation, None
        hold = self.holds.get(ask.id)
        if hold is not None:
            if (hold.account, hold.fingerprint) != (ask.account, ask.fingerprint):
                return "conflict", ask.id, None
            return f"already_{hold.state}", ask.id, None
        account = self.accounts.get(ask.account)
        if account is None:
            return "no_account", ask.id, None
        word = self._refusal(ask, account)
        if word is None:
            word = "held"
            assert ask.amount is not None
            account.held += ask.amount
            account.open_holds += 1
            account.version += 1
            self.holds[ask.id] = Hold(ask.account, ask.amount, ask.fingerprint)
            fresh.add(ask.id)
            if ask.key is not None:
                self.claims[ask.account, ask.key] = (ask.id, ask.fingerprint)
        return word, ask.id, account.available

    def _refusal(self, ask: Ask, account: Account) -> str | None:
        if ask.api_key is not None and self.active_keys.get(ask.api_key) != ask.account:
            return "key_inactive"
        if ask.amount is None or not 1 <= ask.amount <= MOST:
            return "bad_amount"
        if account.frozen:
            return "frozen"
        if account.strict and not ask.resident:
            return "residency_unsatisfiable"
        if account.open_holds >= account.limit:
            return "concurrency_limit"
        if account.available - ask.amount < -account.credit_line:
            return "insufficient"
        return None

    def end(self, id_: UUID, capture: int) -> None:
        """Captures a hold, or releases it with 0."""
        hold = self.holds[id_]
        account = self.accounts[hold.account]
        hold.state = "captured" if capture else "released"
        account.posted -= capture
        account.held -= hold.amount
        account.open_holds -= 1
        account.version += 1

    def grant(self, account: UUID, amount: int) -> None:
        """Adds money."""
        self.accounts[account].posted += amount
        self.accounts[account].version += 1
