"""`babysea key`: makes, lists, rotates, revokes, deletes and explains API keys."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cli import render
from cli.commands.declare import Subparsers, add
from cli.commands.key_explain import register_explain
from cli.errors import Exit
from cli.supervisor.layout import REGIONS

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from babysea.keys.v1.keys_pb2 import ApiKey

PRESETS = ("full_access", "generate_only", "read_only", "monitor_only")


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the commands."""
    key = add(commands, everywhere, "key", "make, list, rotate, revoke, delete and explain API keys")
    verbs = key.add_subparsers(title="verbs", metavar="VERB", required=True)
    create = _verb(verbs, everywhere, "create", "make a key; this prints its secret, once")
    create.add_argument("--name", required=True, help="name for people")
    access = create.add_mutually_exclusive_group()
    access.add_argument(
        "--preset", choices=PRESETS, default="full_access", help="scopes (default: full_access)"
    )
    access.add_argument(
        "--scopes", metavar="A,B", help="scopes one by one, for example generation:read,library:read"
    )
    create.add_argument(
        "--allow", action="append", default=[], metavar="CIDR", help="address or block that may use it"
    )
    create.add_argument("--expires-days", type=float, metavar="DAYS", help="days until it stops working")
    create.set_defaults(run=create_key)
    _verb(verbs, everywhere, "list", "list an account's keys").set_defaults(run=list_keys)
    revoke = _verb(verbs, everywhere, "revoke", "end a key for good")
    revoke.add_argument("key_id", metavar="KEY_ID", help="id of the key, as `key list` shows it")
    revoke.set_defaults(run=revoke_key)
    rotate = _verb(
        verbs, everywhere, "rotate", "put a new key in a key's place; this prints its secret, once"
    )
    rotate.add_argument("key_id", metavar="KEY_ID", help="id of the key, as `key list` shows it")
    rotate.add_argument(
        "--grace-hours",
        type=int,
        metavar="HOURS",
        help="hours that the old key goes on working, 1 to 168 (default: 24)",
    )
    rotate.set_defaults(run=rotate_key)
    delete = _verb(verbs, everywhere, "delete", "remove a key and everything kept of it; it stops working")
    delete.add_argument("key_id", metavar="KEY_ID", help="id of the key, as `key list` shows it")
    delete.set_defaults(run=delete_key)
    register_explain(_verb(verbs, everywhere, "explain", "say why a call with a key is allowed or refused"))


def _verb(
    verbs: Subparsers, everywhere: argparse.ArgumentParser, name: str, summary: str
) -> argparse.ArgumentParser:
    verb = add(verbs, everywhere, name, summary)
    verb.add_argument(
        "--region", choices=REGIONS, help="region of the account (default: the first that runs)"
    )
    verb.add_argument("--account", metavar="ID", help="account (default: the bootstrap account)")
    return verb


def create_key(asked: argparse.Namespace) -> int:
    """Makes a key and prints its secret."""
    from babysea.keys.v1 import key_service_pb2
    from cli.running import find

    running = find(asked.data_dir)
    region = running.region(asked.region)
    scopes = [scope.strip() for scope in asked.scopes.split(",")] if asked.scopes else []
    request = key_service_pb2.CreateKeyRequest(
        account_id=asked.account or region.account_id,
        name=asked.name,
        preset="" if scopes else asked.preset,
        scopes=scopes,
        allowlist=asked.allow,
    )
    if asked.expires_days is not None:
        request.expires_at.FromDatetime(datetime.now(UTC) + timedelta(days=asked.expires_days))
    with running.operator(region) as operator:
        made = operator.call(operator.keys.create_key, request)
    if asked.json:
        render.say_json({**_as_json(made.key), "api_key": made.secret})
        return Exit.OK
    for line in render.facts(
        {"key id": made.key.key_id, "scopes": ", ".join(made.key.scopes), "key": made.secret}
    ):
        render.say(line)
    render.note("The key is shown this once; keep it now.")
    return Exit.OK


def list_keys(asked: argparse.Namespace) -> int:
    """Prints the keys of an account, newest first, without their secrets."""
    from babysea.common.v1 import paging_pb2
    from babysea.keys.v1 import key_service_pb2
    from cli.running import find

    running = find(asked.data_dir)
    region = running.region(asked.region)
    found: list[ApiKey] = []
    token = ""
    with running.operator(region) as operator:
        while True:
            request = key_service_pb2.ListKeysRequest(
                account_id=asked.account or region.account_id,
                page=paging_pb2.PageRequest(page_size=100, page_token=token),
            )
            answer = operator.call(operator.keys.list_keys, request)
            found += answer.keys
            token = answer.page.next_page_token
            if not token:
                break
    if asked.json:
        render.say_json({"keys": [_as_json(key) for key in found]})
        return Exit.OK
    rows = [(key.key_id, key.prefix, key.name, _status(key), ", ".join(key.scopes)) for key in found]
    for line in render.table(rows, header=("key id", "prefix", "name", "status", "scopes")):
        render.say(line)
    return Exit.OK


def revoke_key(asked: argparse.Namespace) -> int:
    """Ends a key."""
    from babysea.keys.v1 import key_service_pb2
    from cli.running import find

    running = find(asked.data_dir)
    region = running.region(asked.region)
    request = key_service_pb2.RevokeKeyRequest(
        account_id=asked.account or region.account_id, key_id=asked.key_id
    )
    with running.operator(region) as operator:
        key = operator.call(operator.keys.revoke_key, request).key
    if asked.json:
        render.say_json(_as_json(key))
    else:
        render.say(f"Revoked {key.prefix} ({key.name}).")
    return Exit.OK


def rotate_key(asked: argparse.Namespace) -> int:
    """Puts a new key in a key's place and prints its secret."""
    from babysea.keys.v1 import key_service_pb2
    from cli.running import find

    running = find(asked.data_dir)
    region = running.region(asked.region)
    request = key_service_pb2.RotateKeyRequest(
        account_id=asked.account or region.account_id, key_id=asked.key_id, grace_hours=asked.grace_hours
    )
    with running.operator(region) as operator:
        done = operator.call(operator.keys.rotate_key, request)
    if asked.json:
        render.say_json({**_as_json(done.key), "api_key": done.secret, "rotated": _as_json(done.rotated)})
        return Exit.OK
    for line in render.facts(
        {
            "key id": done.key.key_id,
            "key": done.secret,
            "takes the place of": done.rotated.prefix,
            "which works until": done.rotated.expires_at.ToJsonString(),
        }
    ):
        render.say(line)
    render.note("The key is shown this once; keep it now.")
    return Exit.OK


def delete_key(asked: argparse.Namespace) -> int:
    """Removes a key."""
    from babysea.keys.v1 import key_service_pb2
    from cli.running import find

    running = find(asked.data_dir)
    region = running.region(asked.region)
    request = key_service_pb2.DeleteKeyRequest(
        account_id=asked.account or region.account_id, key_id=asked.key_id
    )
    with running.operator(region) as operator:
        operator.call(operator.keys.delete_key, request)
    if asked.json:
        render.say_json({"key_id": asked.key_id, "deleted": True})
    else:
        render.say(f"Deleted {asked.key_id}.")
    return Exit.OK


def _status(key: ApiKey) -> str:
    from babysea.keys.v1 import keys_pb2

    return keys_pb2.KeyStatus.Name(key.status).removeprefix("KEY_STATUS_").lower()


def _as_json(key: ApiKey) -> dict[str, object]:
    def moment(field: str) -> str | None:
        at: Timestamp = getattr(key, field)
        return at.ToJsonString() if key.HasField(field) else None  # type: ignore[arg-type]

    return {
        "key_id": key.key_id,
        "account_id": key.account_id,
        "name": key.name,
        "prefix": key.prefix,
        "status": _status(key),
        "scopes": list(key.scopes),
        "allowlist": list(key.allowlist),
        "created_at": moment("created_at"),
        "last_used_at": moment("last_used_at"),
        "expires_at": moment("expires_at"),
        "revoked_at": moment("revoked_at"),
        "rotated_at": moment("rotated_at"),
        "replaced_by": key.replaced_by or None,
    }
