"""Why a customer's call would pass or not: every check in its order, none of them counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

from google.protobuf.descriptor_pool import Default
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from babysea.keys.v1 import key_service_pb2 as pb
from babysea.options.v1 import options_pb2
from kit.clock import Clock
from kit.errors import invalid, spec_of
from server.keys import lifecycle, store
from server.keys.allowlist import allows
from server.keys.hashing import KeyHasher
from server.keys.secrets import KeyText, parse_key
from server.keys.states import holder_of
from server.keys.store import KeyState
from server.runtime.identity import KeyHolder
from server.runtime.interceptors.access import Method, method_at
from server.runtime.interceptors.addresses import plain_address
from server.runtime.rate_limit import Standing

_WRITING = (":write", ":delete")

Peek = Callable[[KeyHolder], Awaitable[Standing]]
"""Where an account stands in its minute, without counting."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check says: a reason where it refuses, a sentence alone where it cannot be answered."""

    check: pb.AccessCheck.ValueType
    reason: error_reason_pb2.ErrorReason.ValueType | None = None
    sentence: str = ""

    def outcome(self) -> pb.AccessOutcome.ValueType:
        """What became of the check."""
        if self.reason is not None:
            return pb.ACCESS_OUTCOME_REFUSED
        return pb.ACCESS_OUTCOME_SKIPPED if self.sentence else pb.ACCESS_OUTCOME_PASSED


@dataclass(frozen=True, slots=True)
class Question:
    """A call to explain: its key as text or as an id, what it calls and where it comes from."""

    secret: str = field(repr=False)
    """Empty when the key is given by its id."""
    key_id: UUID | None
    method: Method
    address: str
    """Empty to skip the allowlist."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every check up to the one that decides, and the key where there is one."""

    verdicts: list[Verdict]
    state: KeyState | None


def asked(request: pb.ExplainAccessRequest) -> Question:
    """The question of a request.

    Raises:
        BabySeaError: INVALID_INPUT for a method that is not in the contract, or an address that is none.
    """
    address = plain_address(request.client_address)
    if request.client_address and not address:
        raise invalid("client_address", "client_address must be an IPv4 or IPv6 address.")
    service, _, name = request.method.removeprefix("/").partition("/")
    try:
        Default().FindServiceByName(service).FindMethodByName(name)
    except KeyError:
        raise invalid(
            "method",
            'method must be the full name of one, for example "babysea.generation.v1.GenerationService/CreateGeneration".',
        ) from None
    key_id = UUID(request.key_id) if request.key_id else None
    return Question(request.secret, key_id, method_at(f"/{service}/{name}"), address)


class Explainer:
    """Goes through the checks as a call would, with the database as it is now, and leaves no trace of it."""

    def __init__(
        self, engine: AsyncEngine, hasher: KeyHasher, region: str, clock: Clock, peek: Peek | None
    ) -> None:
        self._engine = engine
        self._hasher = hasher
        self._region = region
        self._clock = clock
        self._peek = peek

    async def explain(self, question: Question) -> Explanation:
        """What each check says, up to the one that would refuse the call.

        Raises:
            BabySeaError: SERVICE_UNAVAILABLE when too many keys are being checked.
            Exception: the database is away.
        """
        if question.method.is_public:
            open_to_all = "The method is open to everybody, with or without a key."
            return Explanation(
                [Verdict(check, sentence=open_to_all) for check in pb.AccessCheck.values() if check], None
            )
        key = parse_key(question.secret)
        state = await self._state(question, key)
        verdicts: list[Verdict] = []
        async for verdict in self._verdicts(question, key, state):
            verdicts.append(verdict)
            if verdict.reason is not None:
                break
        return Explanation(verdicts, state)

    async def _state(self, question: Question, key: KeyText | None) -> KeyState | None:
        public_id = key.public_id if key is not None and key.region == self._region else None
        if question.key_id is not None:
            public_id = await store.public_id_of(self._engine, question.key_id)
        return None if public_id is None else await store.find_key(self._engine, public_id)

    async def _verdicts(
        self, question: Question, key: KeyText | None, state: KeyState | None
    ) -> AsyncIterator[Verdict]:
        failed = error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED
        by_id = "Not asked: the key is given by its id." if question.key_id is not None else ""
        if not by_id and key is None:
            yield Verdict(
                pb.ACCESS_CHECK_FORMAT, failed, "The text is no key, or a character of it is wrong."
            )
            return
        yield Verdict(pb.ACCESS_CHECK_FORMAT, sentence=by_id)
        if key is not None and key.region != self._region:
            yield Verdict(pb.ACCESS_CHECK_REGION, failed, f"It is a key of the region {key.region}.")
            return
        yield Verdict(pb.ACCESS_CHECK_REGION, sentence=by_id)
        if state is None:
            yield Verdict(pb.ACCESS_CHECK_KNOWN, failed, "There is no key with this id, or it was deleted.")
            return
        yield Verdict(pb.ACCESS_CHECK_KNOWN)
        if key is not None and not await self._hasher.matches(key.secret, state.hash):
            yield Verdict(pb.ACCESS_CHECK_SECRET, failed, "The key exists, but the secret is not its own.")
            return
        yield Verdict(pb.ACCESS_CHECK_SECRET, sentence=by_id)
        over = lifecycle.refusal(state, self._clock.now())
        yield Verdict(pb.ACCESS_CHECK_LIFECYCLE, failed if over else None, over or "")
        for verdict in _permissions(question, state):
            yield verdict
        yield await self._rate(state)

    async def _rate(self, state: KeyState) -> Verdict:
        if self._peek is None:
            return Verdict(
                pb.ACCESS_CHECK_RATE, sentence="This server does not tell where the account stands."
            )
        standing = await self._peek(holder_of(state))
        if standing.allowed:
            return Verdict(pb.ACCESS_CHECK_RATE)
        return Verdict(
            pb.ACCESS_CHECK_RATE,
            error_reason_pb2.ERROR_REASON_RATE_LIMIT_EXCEEDED,
            f"The account has used its {standing.limit} requests of this minute; the next one begins in "
            f"{standing.retry_after} s.",
        )


def _permissions(question: Question, state: KeyState) -> list[Verdict]:
    method = question.method
    if options_pb2.CUSTOMER not in method.audiences:
        return [
            Verdict(
                pb.ACCESS_CHECK_AUDIENCE,
                error_reason_pb2.ERROR_REASON_INSUFFICIENT_PERMISSIONS,
                "No API key can call this method.",
            )
        ]
    verdicts = [Verdict(pb.ACCESS_CHECK_AUDIENCE), _allowlist(question.address, state)]
    if method.scope and method.scope not in state.scopes:
        scope = Verdict(
            pb.ACCESS_CHECK_SCOPE,
            error_reason_pb2.ERROR_REASON_INSUFFICIENT_PERMISSIONS,
            f'The key does not have the scope "{method.scope}".',
        )
    else:
        scope = Verdict(pb.ACCESS_CHECK_SCOPE)
    if state.restricted and method.scope.endswith(_WRITING):
        restricted = Verdict(
            pb.ACCESS_CHECK_RESTRICTED,
            error_reason_pb2.ERROR_REASON_ACCOUNT_RESTRICTED,
            "The account is restricted: it may read, and neither write nor delete.",
        )
    else:
        restricted = Verdict(pb.ACCESS_CHECK_RESTRICTED)
    return [*verdicts, scope, restricted]


def _allowlist(address: str, state: KeyState) -> Verdict:
    if not address and state.allowlist:
        return Verdict(pb.ACCESS_CHECK_ALLOWLIST, sentence="Not asked: no address was given.")
    if allows(state.allowlist, address):
        return Verdict(pb.ACCESS_CHECK_ALLOWLIST)
    return Verdict(
        pb.ACCESS_CHECK_ALLOWLIST,
        error_reason_pb2.ERROR_REASON_IP_NOT_ALLOWED,
        f"The address {address} is in none of the {len(state.allowlist)} entries of the key's allowlist.",
    )


def answer(explanation: Explanation) -> pb.ExplainAccessResponse:
    """The explanation as the contract tells it, without the key."""
    last = explanation.verdicts[-1]
    findings = [
        pb.AccessFinding(check=verdict.check, outcome=verdict.outcome(), explanation=verdict.sentence)
        for verdict in explanation.verdicts
    ]
    findings += [
        pb.AccessFinding(check=check, outcome=pb.ACCESS_OUTCOME_NOT_REACHED)
        for check in pb.AccessCheck.values()
        if check > last.check
    ]
    if last.reason is None:
        return pb.ExplainAccessResponse(allowed=True, findings=findings)
    return pb.ExplainAccessResponse(
        decided_by=last.check, reason=spec_of(last.reason).name, findings=findings
    )
