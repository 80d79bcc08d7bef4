"""PostgreSQL stops and starts again: keys are unavailable meanwhile, and never wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import grpc
import pytest

from server.keys.secrets import KeyText, new_key, parse_key
from server.runtime.embedded.postgres import EmbeddedPostgres
from server.runtime.lifecycle import serve
from server.runtime.service_identity import OPERATOR_PREFIX, SERVICE_PREFIX, make_token
from tests.integration.keys.live import Live, refusal
from tests.support.postgres import new_database, obtain_cluster, stop_cluster
from tests.support.region import open_region, settings_for


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_while_postgresql_is_stopped_every_key_is_503_and_none_401_and_then_all_is_as_before(
    tmp_path: Path, mode: Literal["fast", "immediate"]
) -> None:
    # A cluster of its own: the run's is everybody's.
    cluster = await asyncio.to_thread(obtain_cluster, tmp_path)
    try:
        database = await asyncio.to_thread(new_database, cluster)
        service, operator = tmp_path / "service.token", tmp_path / "operator.token"
        make_token(service, SERVICE_PREFIX)
        make_token(operator, OPERATOR_PREFIX)
        settings = settings_for(
            database,
            service_token_file=service,
            operator_token_file=operator,
            services="keys,accounts,ledger",
            drain_seconds=0,
        )
        region = open_region(database)
        async with serve(settings) as server, Live.open(server, region, settings) as live:
            account = await region.new_account()
            cached, unseen = [await live.new_key(account) for _ in range(2)]
            known = parse_key(cached.secret)
            assert known is not None
            wrong_before = KeyText("us", known.public_id, new_key("us").secret).whole()
            unknown_before = new_key("us").whole()
            await live.who(cached.secret)
            for secret in (wrong_before, unknown_before):
                assert (await refusal(live.who(secret))).reason == "AUTHENTICATION_FAILED"
            keys = {
                "cached": cached.secret,
                "valid, never seen": unseen.secret,
                "unknown": new_key("us").whole(),
                "unknown, refused before": unknown_before,
                "wrong": KeyText("us", known.public_id, new_key("us").secret).whole(),
                "wrong, refused before": wrong_before,
            }
            admin = await region.connect()
            # The test's cluster does not wait for its disk, and what is not there is lost in a crash.
            await admin.execute("checkpoint")
            await admin.close()
            await asyncio.to_thread(EmbeddedPostgres().stop, tmp_path / "pg", mode)
            for _ in range(3):
                for kind, secret in keys.items():
                    refused = await refusal(live.who(secret))
                    assert (refused.code, refused.reason) == (
                        grpc.StatusCode.UNAVAILABLE,
                        "SERVICE_UNAVAILABLE",
                    ), kind
            await asyncio.to_thread(EmbeddedPostgres().start, tmp_path / "pg", durable=False)
            async with asyncio.timeout(30):
                while not server.shared.verifier._watch.is_current():
                    await asyncio.sleep(0.01)
            for secret in (cached.secret, unseen.secret):
                told = await live.who(secret)
                assert told.key.account_id == str(account)
            for kind in ("unknown", "wrong", "wrong, refused before"):
                assert (await refusal(live.who(keys[kind]))).reason == "AUTHENTICATION_FAILED"
        await region.close()
    finally:
        await asyncio.to_thread(stop_cluster, tmp_path)
