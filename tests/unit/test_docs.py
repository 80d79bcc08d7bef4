"""The pages that are made from code say what the code says now."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("variables", [{}, {"COLUMNS": "30", "BABYSEA_DATA_DIR": "/elsewhere"}])
def test_the_generated_pages_are_fresh_whatever_the_terminal(variables: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/docs.py", "check"],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
