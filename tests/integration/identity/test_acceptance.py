"""Nobody gets an account without the texts, and what was accepted is on record."""

from __future__ import annotations

from tests.integration.identity.people import PASSWORD, People
from tests.support.region import TestRegion


async def test_a_sign_up_without_the_necessary_texts_is_refused(people: People) -> None:
    refused = await people.refused(
        "SignUp", email="x@example.com", password=PASSWORD, name="Xenia", accepted_versions={}
    )

    assert (refused.spec.name, refused.details["field"]) == ("INVALID_INPUT", "accepted_versions")


async def test_what_was_accepted_is_on_record_with_the_person(people: People, region: TestRegion) -> None:
    person = await people.new_person()

    connection = await region.connect()
    try:
        rows = await connection.fetch(
            "select purpose, granted from privacy.consent where person_id = $1 order by purpose", person.id
        )
    finally:
        await connection.close()
    assert [tuple(row) for row in rows] == [("dpa", True), ("privacy_policy", True), ("terms_of_use", True)]
