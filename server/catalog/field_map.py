"""One map of a field: how its values are said to a provider."""

from __future__ import annotations

import re
from collections.abc import Sequence

from server.catalog.table import Table
from server.catalog.types import FieldMap

_NAME = re.compile(r"@[a-z][a-z0-9_]*|\.|[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def read_field_map(table: Table, keys: Sequence[str] | None, *, several: bool = False) -> FieldMap:
    """The map of a field that is not dropped.

    Args:
        table: the map.
        keys: every value that a request may have, as a key of `values`; None where they cannot be listed.
        several: whether there may be more than one file.
    """
    native = table.text("to")
    if not _NAME.fullmatch(native):
        raise table.error(
            "to", 'must be a parameter\'s name such as "size", "parameters.size", "@prompt" or "."'
        )
    as_list = table.flag("list", default=False)
    numbered = table.flag("numbered", default=False)
    if as_list and numbered:
        raise table.error("numbered", "and list exclude each other")
    if several and not (as_list or numbered or native.startswith("@")):
        raise table.error("list", "must be true, because the model takes several files")
    template = _template(table)
    words = _words(table, keys)
    if template and words:
        raise table.error("format", "and values exclude each other")
    if native == "." and not (words and all(isinstance(word, dict) for word in words.values())):
        raise table.error("values", "must have a table for each value, because they are spread")
    table.finish()
    return FieldMap(native, words, as_list, numbered, template)


def _template(table: Table) -> str:
    if not table.has("format"):
        return ""
    template = table.text("format")
    if template.count("{") != 1 or template.count("}") != 1 or "{}" not in template:
        raise table.error("format", 'must hold "{}" once, and no other brace')
    return template


def _words(table: Table, keys: Sequence[str] | None) -> dict[str, object]:
    words_table = table.table("values")
    words = {key: words_table.raw(key) for key in words_table.names()}
    if words and keys is None:
        raise table.error("values", "cannot be given for a field whose values cannot be listed")
    if words:
        for key in sorted(set(keys or ()) - set(words)):
            raise words_table.error(key, "is missing: the provider has no word for a value of the model")
        for key in sorted(set(words) - set(keys or ())):
            raise words_table.error(key, "is not a value of the model")
    return words
