"""API keys of an account: made, shown, replaced and ended by its members, never by another key."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field
from typing_extensions import TypedDict

from babysea.keys.v1 import key_service_pb2 as keys
from babysea.keys.v1 import keys_pb2
from gateway.member_methods import CREATE_KEY, DELETE_KEY, GET_KEY, LIST_KEYS, REVOKE_KEY, ROTATE_KEY
from gateway.v1.members.bodies import Body
from gateway.v1.members.calls import PersonCall, beside_of
from gateway.v1.members.routing import lists, member_router, takes
from gateway.v1.members.values import Instant, at, int32, timestamp, word
from gateway.v1.responses import Envelope, ListEnvelope

router = member_router()


class KeyData(TypedDict):
    """An API key without its secret."""

    account_id: str
    apikey_id: str
    apikey_name: str
    apikey_prefix: str
    apikey_status: Literal["active", "rotated", "expired", "revoked"]
    apikey_scopes: list[str]
    apikey_allowlist: list[str]
    apikey_created_at: str | None
    apikey_last_used_at: str | None
    apikey_expires_at: str | None
    apikey_revoked_at: str | None
    apikey_rotated_at: str | None
    apikey_replaced_by: str | None


class NewKeyData(TypedDict):
    """A new key; the answer is the only place where it is ever shown."""

    apikey: KeyData
    apikey_secret: str


class RotatedKeyData(NewKeyData):
    """A new key, and the one whose place it takes."""

    apikey_rotated: KeyData


class KeysData(TypedDict):
    """API keys, newest first."""

    apikeys: list[KeyData]


class OneKeyData(TypedDict):
    """An API key."""

    apikey: KeyData


class DeletedKeyData(TypedDict):
    """A key that is gone."""

    account_id: str
    apikey_id: str


class CreateKey(Body):
    """A key to make: with a preset, or with scopes of its own."""

    apikey_name: Annotated[str, Field(description="Name for people, 1 to 100 characters.")]
    apikey_preset: Annotated[
        Literal["full_access", "generate_only", "read_only", "monitor_only"] | None,
        Field(description="A set of scopes; instead of `apikey_scopes`."),
    ] = None
    apikey_scopes: Annotated[
        list[str], Field(description="For example generation:write.", default_factory=list)
    ]
    apikey_allowlist: Annotated[
        list[str],
        Field(description="Addresses and CIDR blocks that may use it; any when empty.", default_factory=list),
    ]
    apikey_expires_at: Annotated[Instant | None, Field(description="When it stops working.")] = None


class RotateKey(Body):
    """How a key is replaced."""

    apikey_grace_hours: Annotated[
        int | None, Field(description="Hours that the old key goes on working, 1 to 168; 24 when omitted.")
    ] = None


@router.post(
    "/accounts/{account_id}/keys", response_model=Envelope[NewKeyData], openapi_extra=takes(CreateKey)
)
async def create_key(request: Request, account_id: str) -> Response:
    """Makes a key."""
    call = PersonCall(request, CREATE_KEY)
    body = await call.body(CreateKey)
    question = keys.CreateKeyRequest(
        account_id=account_id,
        name=body.apikey_name,
        preset=body.apikey_preset or "",
        scopes=body.apikey_scopes,
        allowlist=body.apikey_allowlist,
        expires_at=None if body.apikey_expires_at is None else timestamp(body.apikey_expires_at),
    )
    answer = await call.ask(question)
    data: NewKeyData = {"apikey": key_data(answer.key), "apikey_secret": answer.secret}
    return call.reply("API key created successfully", data)


@router.get("/accounts/{account_id}/keys", response_model=ListEnvelope[KeysData], openapi_extra=lists())
async def list_keys(request: Request, account_id: str) -> Response:
    """Keys of the account, newest first."""
    call = PersonCall(request, LIST_KEYS)
    page = await call.page()
    answer = await call.ask(keys.ListKeysRequest(account_id=account_id, page=page))
    data: KeysData = {"apikeys": [key_data(key) for key in answer.keys]}
    return call.reply("API keys retrieved successfully", data, beside=beside_of(page, answer.page))


@router.get("/accounts/{account_id}/keys/{key_id}", response_model=Envelope[OneKeyData])
async def get_key(request: Request, account_id: str, key_id: str) -> Response:
    """One key of the account."""
    call = PersonCall(request, GET_KEY)
    answer = await call.ask(keys.GetKeyRequest(account_id=account_id, key_id=key_id))
    data: OneKeyData = {"apikey": key_data(answer.key)}
    return call.reply("API key retrieved successfully", data)


@router.delete("/accounts/{account_id}/keys/{key_id}", response_model=Envelope[DeletedKeyData])
async def delete_key(request: Request, account_id: str, key_id: str) -> Response:
    """Removes a key and everything kept of it; one that works stops working."""
    call = PersonCall(request, DELETE_KEY)
    await call.ask(keys.DeleteKeyRequest(account_id=account_id, key_id=key_id))
    data: DeletedKeyData = {"account_id": account_id, "apikey_id": key_id}
    return call.reply("API key deleted successfully", data)


@router.post("/accounts/{account_id}/keys/{key_id}/revoke", response_model=Envelope[OneKeyData])
async def revoke_key(request: Request, account_id: str, key_id: str) -> Response:
    """Ends a key for good."""
    call = PersonCall(request, REVOKE_KEY)
    answer = await call.ask(keys.RevokeKeyRequest(account_id=account_id, key_id=key_id))
    data: OneKeyData = {"apikey": key_data(answer.key)}
    return call.reply("API key revoked successfully", data)


@router.post(
    "/accounts/{account_id}/keys/{key_id}/rotate",
    response_model=Envelope[RotatedKeyData],
    openapi_extra=takes(RotateKey),
)
async def rotate_key(request: Request, account_id: str, key_id: str) -> Response:
    """Makes a key that takes another one's place; the old one works until its grace is over."""
    call = PersonCall(request, ROTATE_KEY)
    body = await call.body(RotateKey)
    question = keys.RotateKeyRequest(
        account_id=account_id, key_id=key_id, grace_hours=int32(body.apikey_grace_hours)
    )
    answer = await call.ask(question)
    data: RotatedKeyData = {
        "apikey": key_data(answer.key),
        "apikey_secret": answer.secret,
        "apikey_rotated": key_data(answer.rotated),
    }
    return call.reply("API key rotated successfully", data)


def key_data(key: keys_pb2.ApiKey) -> KeyData:
    """A key as the public contract shows it."""
    return {
        "account_id": key.account_id,
        "apikey_id": key.key_id,
        "apikey_name": key.name,
        "apikey_prefix": key.prefix,
        "apikey_status": word(keys_pb2.KeyStatus.Name(key.status), "KEY_STATUS_"),  # type: ignore[typeddict-item]
        "apikey_scopes": list(key.scopes),
        "apikey_allowlist": list(key.allowlist),
        "apikey_created_at": at(key, "created_at"),
        "apikey_last_used_at": at(key, "last_used_at"),
        "apikey_expires_at": at(key, "expires_at"),
        "apikey_revoked_at": at(key, "revoked_at"),
        "apikey_rotated_at": at(key, "rotated_at"),
        "apikey_replaced_by": key.replaced_by or None,
    }
