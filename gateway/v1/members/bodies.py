"""JSON bodies of the routes for people, against their models: strict in every type, nothing ignored."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.errors import shown
from kit.errors import BabySeaError, invalid

_EXPECTED = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
}


class Body(BaseModel):
    """What a request says. A field that is left out of a change stays as it is."""

    model_config = ConfigDict(strict=True, extra="forbid")


B = TypeVar("B", bound=Body)


def validated(model: type[B], values: dict[str, object]) -> B:
    """A body as its model has it.

    Raises:
        BabySeaError: INVALID_INPUT naming the field.
    """
    try:
        return model.model_validate(values)
    except ValidationError as problems:
        raise _first(problems) from None


def _first(problems: ValidationError) -> BabySeaError:
    problem = problems.errors(include_url=False, include_context=True, include_input=False)[0]
    field = shown(".".join(str(part) for part in problem["loc"]))
    expected = _EXPECTED.get(problem["type"], "is not valid")
    if problem["type"] == "literal_error":
        expected = f"must be {problem['ctx']['expected']}"
    return invalid(field, f"{field} {expected}.")
