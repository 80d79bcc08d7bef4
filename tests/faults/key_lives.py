"""Crashes while a key is rotated or revoked: either all of it happened or nothing, and the owner can go on."""

from __future__ import annotations

import asyncio
from typing import Any

from babysea.keys.v1 import key_service_pb2
from cli.errors import CliError
from cli.grpc_client import Operator
from server.runtime.fault_points import Point
from tests.faults.matrix import Cell
from tests.faults.stage import Customer, Death, Stage, until


async def play(stage: Stage, cell: Cell, customer: Customer) -> tuple[Death, list[str]]:
    """The death, and everything that is wrong after it."""
    stage.order(cell.point, "KILL" if cell.point.process == cell.killed else "STOP")
    ask = _rotate if cell.outcome == "rotation" else _revoke
    asking = asyncio.create_task(ask(stage, customer, customer.key_id))
    death = await stage.killed_at(cell.point, cell.killed)
    answer = await asking
    await stage.restarted(death)
    if (answer is None) != (cell.killed == "server"):
        return death, ["the owner was answered by a dead server, or not by a living one"]
    if cell.outcome == "rotation":
        return death, await _after_rotation(stage, cell, customer, answer)
    return death, await _after_revocation(stage, customer)


async def _after_rotation(stage: Stage, cell: Cell, customer: Customer, answer: Any) -> list[str]:
    keys = {
        str(row["id"]): row["replaced_by"]
        for row in await stage.rows(
            "select id, replaced_by from keys.api_key where account_id = $1", customer.account_id
        )
    }
    successor = keys[customer.key_id]
    happened = cell.point is Point.ROTATION_COMMITTED or cell.killed == "worker"
    if (successor is not None) != happened or len(keys) != 1 + happened:
        return [f"a rotation that {'was' if happened else 'was not'} committed left {len(keys)} keys"]
    found = []
    if (status := await _status(stage, customer.secret)) != 200:
        found.append(f"the old key answers {status} in its grace")
    if answer is None:
        # The owner goes on as the service says: the rotation again, or that of the key which took its place.
        key_id = str(successor) if happened else customer.key_id
        answer = await until(lambda: _rotate(stage, customer, key_id), "the owner to be answered")
    if (status := await _status(stage, answer.secret)) != 200:
        found.append(f"the owner's new key answers {status}")
    return found


async def _after_revocation(stage: Stage, customer: Customer) -> list[str]:
    row = await stage.row("select revoked_at from keys.api_key where id = $1", customer.key_id)
    found = []
    if row is None or row["revoked_at"] is None:
        found.append("the revocation was forgotten")
    if await _status(stage, customer.secret) != 401:
        found.append("a revoked key works")
    return found


async def _rotate(stage: Stage, customer: Customer, key_id: str) -> Any:
    request = key_service_pb2.RotateKeyRequest(account_id=customer.account_id, key_id=key_id)
    try:
        return await stage.asked(Operator.keys.rotate_key, request)
    except CliError:
        return None


async def _revoke(stage: Stage, customer: Customer, key_id: str) -> Any:
    request = key_service_pb2.RevokeKeyRequest(account_id=customer.account_id, key_id=key_id)
    try:
        return await stage.asked(Operator.keys.revoke_key, request)
    except CliError:
        return None


async def _status(stage: Stage, secret: str) -> int:
    reply = await stage.request("GET", "/v1/status", {"Authorization": f"Bearer {secret}"})
    return reply.status_code
