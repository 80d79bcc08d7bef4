"""Searching files for words, in every spelling in which a database or a log might keep them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path

_CHUNK = 16 * 1024 * 1024


def spellings(word: bytes) -> dict[str, bytes]:
    """A word as it is, as UTF-16, in hex, and in base64 at each of its three alignments."""
    text = word.decode("latin-1")
    found = {
        "plain": word,
        "upper": word.upper(),
        "lower": word.lower(),
        "utf-16-le": text.encode("utf-16-le"),
        "utf-16-be": text.encode("utf-16-be"),
        "hex": word.hex().encode(),
        "HEX": word.hex().upper().encode(),
    }
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + word + b"\0" * 3)
        # Only the characters that depend on the word alone.
        start, end = (shift * 8 + 5) // 6, (shift + len(word)) * 8 // 6
        found[f"base64+{shift}"] = encoded[start:end]
        found[f"urlsafe+{shift}"] = encoded[start:end].replace(b"+", b"-").replace(b"/", b"_")
    return found


def search(files: Iterable[Path], words: Mapping[str, bytes]) -> set[tuple[str, str, str]]:
    """Where a word was found: its name, its spelling and the file."""
    patterns = [
        (name, how, spelled) for name, word in words.items() for how, spelled in spellings(word).items()
    ]
    longest = max(len(spelled) for _, _, spelled in patterns)
    found: set[tuple[str, str, str]] = set()
    for path in files:
        try:
            with path.open("rb") as file:
                tail = b""
                while chunk := file.read(_CHUNK):
                    block = tail + chunk
                    found |= {(name, how, str(path)) for name, how, spelled in patterns if spelled in block}
                    tail = block[-longest:]
        except FileNotFoundError:
            # A segment of the journal may be recycled while we read.
            continue
    return found
