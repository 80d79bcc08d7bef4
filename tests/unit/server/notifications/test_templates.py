"""Every template says what it declares, in three parts, and lets nobody write into it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, meta, nodes

from server.notifications.catalog import CATEGORIES, TEMPLATES, Kind, Template
from server.notifications.rendering import COMMON, FOLDER, Renderer, UnknownTemplateError, harmless

AT = datetime(2026, 11, 22, 5, 30, tzinfo=UTC)
RENDERER = Renderer("https://us.pages.example/", "us")
PARTS = ("subject.txt", "body.txt", "body.html")
_EVERY = pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda each: each.name)


def _values(template: Template) -> dict[str, str]:
    return {name: f"value-of-{name.replace('_', '-')}" for name in template.variables}


@_EVERY
def test_each_template_says_every_value_in_text_and_html(template: Template) -> None:
    values = _values(template)
    rendered = RENDERER.render(template.name, template.version, values, AT)
    assert rendered.subject
    assert "\n" not in rendered.subject
    for body in (rendered.text, rendered.html):
        for value in values.values():
            assert value in body
        assert "2026-11-22 05:30 UTC" in body
        assert "{{" not in body
        assert "{%" not in body
    # Everything that a text says stands in the HTML, too; and no value stands in a subject, which lists show.
    links = set(re.findall(r"https?://[^\s\"<]+", rendered.text))
    assert links <= set(re.findall(r"https?://[^\s\"<]+", rendered.html))
    assert all(link.startswith("https://us.pages.example/") for link in links)
    assert not any(value in rendered.subject for value in values.values())


@_EVERY
def test_each_template_refuses_a_value_too_few_and_one_too_many(template: Template) -> None:
    values = _values(template)
    wrong = [{**values, "extra": "x"}]
    wrong += [{name: value for name, value in values.items() if name != left} for left in values]
    for given in wrong:
        with pytest.raises(ValueError, match="exactly the values"):
            RENDERER.render(template.name, template.version, given, AT)


@_EVERY
def test_each_template_uses_what_it_declares_and_nothing_else(template: Template) -> None:
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True)
    for part in PARTS[1:]:
        source = (FOLDER / template.name / str(template.version) / part).read_text()
        used = meta.find_undeclared_variables(environment.parse(source))
        assert used - COMMON - {"button"} == template.variables, part
        # Nothing switches escaping off.
        assert not list(environment.parse(source).find_all(nodes.Filter)), part


def test_every_folder_is_a_template_of_the_catalogue_with_all_its_parts() -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.name != "_layout"}
    assert folders == set(TEMPLATES)
    for folder in folders:
        for version in (FOLDER / folder).iterdir():
            assert sorted(path.name for path in version.iterdir()) == sorted(PARTS)


def test_every_template_belongs_to_a_category_and_only_optional_ones_have_a_purpose() -> None:
    for template in TEMPLATES.values():
        assert template.category in CATEGORIES
        assert (template.purpose is not None) == (template.kind is Kind.OPTIONAL)
        assert template.name.startswith("auth.") == (template.category == "security")


def test_what_people_write_cannot_become_markup_or_a_link() -> None:
    values = {
        "team": '<a href="https://evil.example">click</a>',
        "inviter": "Bo\r\nBcc: x@evil.example {{ token }}",
        "role": "owner",
        "token": "T",
        "days": "7",
    }
    rendered = RENDERER.render("team.invitation", 1, values, AT)
    assert "&lt;a href=&#34;" in rendered.html
    assert "evil.example" not in rendered.text + rendered.html
    assert "x@" not in rendered.text
    assert "{{ token }}" in rendered.text, "values are text, not templates"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Acme Inc.", "Acme Inc."),
        ("Firefox/5.0", "Firefox/5.0"),
        ("www.evil.example", "www. evil. example"),
        ("www\uff0eevil\u3002example", "www\uff0e evil\u3002 example"),
        ("https://evil", "https: //evil"),
        ("a\u202eb\u0000c\u200bd", "abcd"),
        ("  two \n lines ", "two lines"),
        ("x" * 200, "x" * 99 + "…"),
        ("株式会社", "株式会社"),
    ],
)
def test_what_a_person_wrote_is_one_short_line_without_links(written: str, shown: str) -> None:
    assert harmless(written) == shown


def test_a_template_that_is_not_here_is_named_as_such() -> None:
    with pytest.raises(UnknownTemplateError):
        RENDERER.render("auth.nothing", 1, {}, AT)
    with pytest.raises(UnknownTemplateError):
        RENDERER.render("auth.mfa_enabled", 99, {}, AT)


def test_templates_are_part_of_the_package() -> None:
    assert Path(FOLDER).parent.name == "notifications"
