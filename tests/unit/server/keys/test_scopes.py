"""Scopes and presets."""

from __future__ import annotations

import pytest

from kit.errors import BabySeaError
from server.keys.scopes import PRESETS, SCOPES, chosen_scopes


def test_the_presets_are_those_of_the_public_contract() -> None:
    assert {name: set(scopes) for name, scopes in PRESETS.items()} == {
        "full_access": set(SCOPES),
        "generate_only": {"generation:write", "generation:read", "library:read"},
        "read_only": {"generation:read", "account:read", "health:read", "library:read"},
        "monitor_only": {"health:read", "library:read"},
    }


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_stands_for_its_scopes(preset: str) -> None:
    assert chosen_scopes(preset, []) == list(PRESETS[preset])


def test_own_scopes_are_kept_once_and_in_one_order() -> None:
    assert chosen_scopes("", ["library:read", "account:read", "library:read"]) == [
        "account:read",
        "library:read",
    ]


@pytest.mark.parametrize(
    ("preset", "scopes", "field"),
    [
        ("", [], "preset"),
        ("full_access", ["account:read"], "scopes"),
        ("everything", [], "preset"),
        ("", ["account:read", "money:print"], "scopes[1]"),
    ],
)
def test_a_choice_that_means_nothing_names_its_field(preset: str, scopes: list[str], field: str) -> None:
    with pytest.raises(BabySeaError) as refused:
        chosen_scopes(preset, scopes)
    assert refused.value.details == {"field": field}
