"""One supervisor per data folder."""

import os
import subprocess
import sys
from pathlib import Path

from cli.supervisor.layout import Layout
from cli.supervisor.lock import Lock, holder

HOLD = """
import sys, time
from pathlib import Path
from cli.supervisor.layout import Layout
from cli.supervisor.lock import Lock
lock = Lock.try_take(Layout.at(Path(sys.argv[1])))
print(lock is not None, flush=True)
time.sleep(60)
"""


def test_the_second_one_does_not_get_the_lock_and_learns_who_has_it(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    lock = Lock.try_take(layout)
    assert lock is not None
    with lock:
        assert Lock.try_take(layout) is None
        found = holder(layout)
        assert found is not None
        assert found.pid == os.getpid()
    again = Lock.try_take(layout)
    assert again is not None
    with again:
        pass


def test_a_killed_holder_leaves_the_lock_free_and_is_not_named_any_more(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"True\n"
    assert Lock.try_take(layout) is None
    process.kill()
    process.wait()
    assert holder(layout) is None
    lock = Lock.try_take(layout)
    assert lock is not None
    with lock:
        pass
