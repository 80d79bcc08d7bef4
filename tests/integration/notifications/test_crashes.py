"""A sender that is killed around the handing over: a letter is never lost, and arrives at most once more per death."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.integration.notifications.post_office import Post, PostOffice

_ROOT = Path(__file__).resolve().parents[3]
_PROGRAM = Path(__file__).with_name("sender_program.py")


async def _run(post: Post, office: PostOffice, moment: str, tmp_path: Path) -> int:
    """Runs a sender until it ends; its exit code."""
    settings = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in post.region.settings.model_dump(exclude_none=True).items()
    }
    environment = {
        **os.environ,
        **{f"BABYSEA_{name.upper()}": value for name, value in settings.items()},
        "BABYSEA_SMTP_URL": office.url,
        "BABYSEA_MAIL_FROM": "no-reply@mail.example",
        "BABYSEA_DATA_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(_ROOT), str(_ROOT / "gen"), str(_ROOT / "clients" / "python")]),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_PROGRAM), moment, env=environment, cwd=tmp_path
    )
    return await process.wait()


@pytest.mark.parametrize(("moment", "copies"), [("before", 1), ("after", 2)])
async def test_a_killed_sender_loses_no_letter_and_doubles_at_most_the_one_it_had(
    post: Post, office: PostOffice, tmp_path: Path, moment: str, copies: int
) -> None:
    person = await post.person(f"{moment}@example.org")
    letter = await post.write("auth.mfa_enabled", f"killed:{moment}", {}, person_id=person)
    assert await _run(post, office, moment, tmp_path) == -signal.SIGKILL
    row = await post.row(letter)
    assert (row["state"], row["attempts"]) == ("queued", 1)
    assert len(office.received) == copies - 1
    # Nobody has it before the dead sender's lease is over.
    survivor = post.sender(office)
    assert await survivor.work() == 0
    await post.make_due(letter)
    assert await survivor.work() == 1
    assert (await post.row(letter))["state"] == "sent"
    assert [message["Message-ID"] for _, message in office.received] == [f"<{letter}@mail.example>"] * copies
    assert await survivor.work() == 0
