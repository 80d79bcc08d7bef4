"""Encryption: what is sealed opens for its own record only, and not at all once its key is destroyed."""

from __future__ import annotations

import asyncio
import base64
import os
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import event

from kit.ids import uuid7
from server.runtime.encryption import DecryptionError, Envelope, MasterKey
from tests.support.region import MASTER_KEY, TestRegion

PURPOSE = "generation.request"
SECRET = b"a prompt of one account"
WAITING = "select count(*) from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'"


async def test_a_ciphertext_opens_for_its_account_purpose_and_record_only(region: TestRegion) -> None:
    mine, other = await region.new_account(), await region.new_account()
    record = uuid7()
    sealed = await region.envelope.seal(mine, PURPOSE, record, SECRET)
    assert await region.envelope.open(mine, PURPOSE, record, sealed) == SECRET
    elsewhere: list[tuple[UUID, str, UUID]] = [
        (other, PURPOSE, record),
        (mine, PURPOSE, uuid7()),
        (mine, "account.name", record),
        # The parts of the bound text must not flow into each other.
        (mine, PURPOSE[1:], UUID(bytes=record.bytes[1:] + PURPOSE[:1].encode())),
    ]
    for account, purpose, place in elsewhere:
        with pytest.raises(DecryptionError):
            await region.envelope.open(account, purpose, place, sealed)


async def test_equal_plaintexts_leave_different_ciphertexts(region: TestRegion) -> None:
    account, record = await region.new_account(), uuid7()
    assert len({await region.envelope.seal(account, PURPOSE, record, SECRET) for _ in range(100)}) == 100


async def test_no_altered_byte_and_no_cut_opens(region: TestRegion) -> None:
    account, record = await region.new_account(), uuid7()
    sealed = await region.envelope.seal(account, PURPOSE, record, SECRET)
    # The first byte says the format; see the next test.
    for position in range(1, len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises(DecryptionError):
            await region.envelope.open(account, PURPOSE, record, bytes(altered))
    for length in range(13, len(sealed)):
        with pytest.raises(DecryptionError):
            await region.envelope.open(account, PURPOSE, record, sealed[:length])


async def test_a_ciphertext_of_another_format_does_not_open(region: TestRegion) -> None:
    account, record = await region.new_account(), uuid7()
    sealed = await region.envelope.seal(account, PURPOSE, record, SECRET)
    with pytest.raises(DecryptionError):
        await region.envelope.open(account, PURPOSE, record, b"\x02" + sealed[1:])


@pytest.mark.parametrize("length", [0, 1, 5])
async def test_a_ciphertext_cut_into_its_nonce_does_not_open(region: TestRegion, length: int) -> None:
    account, record = await region.new_account(), uuid7()
    sealed = await region.envelope.seal(account, PURPOSE, record, SECRET)
    with pytest.raises(DecryptionError):
        await region.envelope.open(account, PURPOSE, record, sealed[:length])


async def test_a_destroyed_key_opens_and_seals_nothing_and_no_second_one_takes_its_place(
    region: TestRegion,
) -> None:
    account, record = await region.new_account(), uuid7()
    sealed = await region.envelope.seal(account, PURPOSE, record, SECRET)
    await region.envelope.destroy_data_key(account)
    await region.envelope.create_data_key(account)
    for attempt in (region.envelope, _another_process(region)):
        with pytest.raises(DecryptionError, match="destroyed"):
            await attempt.open(account, PURPOSE, record, sealed)
        with pytest.raises(DecryptionError, match="destroyed"):
            await attempt.seal(account, PURPOSE, record, SECRET)


async def test_a_key_destroyed_in_one_process_opens_nothing_in_another(region: TestRegion) -> None:
    account, record = await region.new_account(), uuid7()
    now = [0.0]
    worker = Envelope(region.envelope.master, region.databases.vault, lambda: now[0])
    sealed = await worker.seal(account, PURPOSE, record, SECRET)
    await region.envelope.destroy_data_key(account)
    now[0] += 60.0
    with pytest.raises(DecryptionError):
        await worker.open(account, PURPOSE, record, sealed)


async def test_a_key_destroyed_while_it_is_being_read_is_not_remembered(region: TestRegion) -> None:
    account, record = await region.new_account(), uuid7()
    sealed = await region.envelope.seal(account, PURPOSE, record, SECRET)
    vault = await asyncpg.connect(region.database.cluster.url(region.database.vault))
    try:
        # The destruction waits for this lock, as it may for any other transaction; readers do not.
        await vault.execute("begin")
        await vault.execute("select 1 from vault.data_key where account_id = $1 for update", account)
        destroying = asyncio.create_task(region.envelope.destroy_data_key(account))
        async with asyncio.timeout(5):
            while not await vault.fetchval(WAITING, region.database.vault):
                await asyncio.sleep(0.01)
        assert await region.envelope.open(account, PURPOSE, record, sealed) == SECRET
        await vault.execute("commit")
        await destroying
    finally:
        await vault.close()
    with pytest.raises(DecryptionError):
        await region.envelope.open(account, PURPOSE, record, sealed)


async def test_the_vault_holds_data_keys_wrapped_for_their_account_only(region: TestRegion) -> None:
    mine, other = await region.new_account(), await region.new_account()
    vault = await asyncpg.connect(region.database.cluster.url(region.database.vault))
    try:
        wrapped = {
            row["account_id"]: row["wrapped"]
            for row in await vault.fetch(
                "select account_id, wrapped from vault.data_key where account_id = any ($1)", [mine, other]
            )
        }
    finally:
        await vault.close()
    master = MasterKey(MASTER_KEY)
    # Format, nonce, 32 bytes, tag.
    assert {len(each) for each in wrapped.values()} == {1 + 12 + 32 + 16}
    keys = {account: master.unwrap(account, each) for account, each in wrapped.items()}
    assert keys[mine] != keys[other]
    for account, key in keys.items():
        assert key not in wrapped[account]
    with pytest.raises(DecryptionError):
        master.unwrap(other, wrapped[mine])
    with pytest.raises(DecryptionError):
        MasterKey(base64.b64encode(os.urandom(32)).decode()).unwrap(mine, wrapped[mine])


async def test_a_swapped_data_key_opens_nothing(region: TestRegion) -> None:
    mine, other = await region.new_account(), await region.new_account()
    record = uuid7()
    sealed = await region.envelope.seal(mine, PURPOSE, record, SECRET)
    vault = await asyncpg.connect(region.database.cluster.url(region.database.vault))
    try:
        await vault.execute(
            "update vault.data_key set wrapped = (select wrapped from vault.data_key where account_id = $2) where account_id = $1",
            mine,
            other,
        )
    finally:
        await vault.close()
    with pytest.raises(DecryptionError):
        await _another_process(region).open(mine, PURPOSE, record, sealed)


async def test_five_hundred_uses_of_a_new_key_at_once_read_the_vault_once(region: TestRegion) -> None:
    account = await region.new_account()
    fresh = _another_process(region)
    reads: list[str] = []

    def note(*facts: object) -> None:
        reads.append(str(facts[2]))

    event.listen(region.databases.vault.sync_engine, "before_cursor_execute", note)
    try:
        sealed = await asyncio.gather(*(fresh.seal(account, PURPOSE, account, SECRET) for _ in range(500)))
    finally:
        event.remove(region.databases.vault.sync_engine, "before_cursor_execute", note)
    assert len(reads) == 1
    assert len(set(sealed)) == 500
    assert await region.envelope.open(account, PURPOSE, account, sealed[-1]) == SECRET


async def test_a_key_made_after_a_look_that_found_none_is_found(region: TestRegion) -> None:
    account = uuid7()
    with pytest.raises(DecryptionError):
        await region.envelope.seal(account, PURPOSE, account, SECRET)
    await region.envelope.create_data_key(account)
    sealed = await region.envelope.seal(account, PURPOSE, account, SECRET)
    assert await region.envelope.open(account, PURPOSE, account, sealed) == SECRET


def _another_process(region: TestRegion) -> Envelope:
    """The envelope of a process that has read no key yet."""
    return Envelope(MasterKey(MASTER_KEY), region.databases.vault)
