"""No letter is written that nobody posts: each template's name stands in the program that posts it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import server
from server.notifications.catalog import TEMPLATES

SERVER = Path(server.__file__).parent
CATALOG = SERVER / "notifications" / "catalog.py"
POSTING = {"seal_letter", "make_notice", "post_reset", "_notice"}
"""What turns a template into a letter; a module that posts calls one of them."""


def _named(tree: ast.AST) -> Iterator[str]:
    """Texts of a module that are nothing but a word, so no documentation."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _called(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


@pytest.fixture(scope="module")
def posted() -> dict[str, set[str]]:
    """Templates by the modules that name them and post letters."""
    found: dict[str, set[str]] = {name: set() for name in TEMPLATES}
    for path in SERVER.rglob("*.py"):
        if path == CATALOG:
            continue
        tree = ast.parse(path.read_text())
        if POSTING & set(_called(tree)) or path.name == "posting.py":
            for name in set(_named(tree)) & found.keys():
                found[name].add(path.relative_to(SERVER).as_posix())
    return found


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_letter_is_posted_by_somebody(posted: dict[str, set[str]], name: str) -> None:
    assert posted[name], f"nobody posts {name}"
