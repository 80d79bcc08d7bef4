"""A process is found again later, and a stranger is never mistaken for it."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

from cli.supervisor.processes import ProcessId, end, identify, is_alive, send


def _sleeper(*, deaf: bool = False) -> subprocess.Popen[bytes]:
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if deaf else ""
    code = f"{ignore}import time; print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def _known(process: subprocess.Popen[bytes]) -> ProcessId:
    found = identify(process.pid)
    assert found is not None
    return found


def _close(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_the_same_process_is_recognised_again() -> None:
    assert identify(os.getpid()) == identify(os.getpid())


def test_a_process_with_a_recycled_number_is_another_one_and_gets_no_signal() -> None:
    process = _sleeper()
    try:
        predecessor = replace(_known(process), started="another-boot:1")
        assert not is_alive(predecessor)
        send(predecessor, signal.SIGKILL)
        end([predecessor], 0.0)
        assert process.poll() is None
    finally:
        _close(process)


def test_a_zombie_counts_as_ended() -> None:
    process = _sleeper()
    known = _known(process)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert identify(process.pid) is None
        assert not is_alive(known)
    finally:
        _close(process)


def test_a_number_that_nobody_has_is_nobody() -> None:
    process = _sleeper()
    known = _known(process)
    _close(process)
    assert not is_alive(known)
    assert identify(0) is None
    assert identify(-5) is None


def test_ending_asks_first_and_kills_who_does_not_listen() -> None:
    polite, deaf = _sleeper(), _sleeper(deaf=True)
    try:
        end([_known(polite), _known(deaf)], 0.3)
        assert polite.wait() == -signal.SIGTERM
        assert deaf.wait() == -signal.SIGKILL
    finally:
        _close(polite)
        _close(deaf)
