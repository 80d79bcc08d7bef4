"""What a model of a provider is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..schema import Field, Violation, check
from ..shapes import Tagged

Source = Literal["schema", "sdk", "seen", "assumed"]
"""How sure a model's fields are: a copy of the provider's own schema, its SDK, other implementers' requests, or nothing."""


@dataclass(frozen=True)
class Price:
    """What a finished job costs upstream."""

    unit: Literal["image", "megapixel", "second", "video"]
    micros: int
    """Micro-dollars per unit."""

    silent_micros: int | None = None
    """Per unit when the model can make sound and was told not to."""

    by_resolution: Mapping[str, int] = field(default_factory=dict)
    """Per unit, where it depends on the resolution asked for."""

    silent_by_resolution: Mapping[str, int] = field(default_factory=dict)
    """The same for films without sound; empty when sound makes no difference."""

    graded_by: str = "resolution"
    """The inputs that `by_resolution` is about, with a blank between; a dot leads into an object."""

    file_micros: int = 0
    """What each file that is given adds to each output."""

    file_fields: str = ""
    """How the names of the inputs begin that hold such files."""

    more_micros: int | None = None
    """Per megapixel after the first one; None for the same price."""

    megapixel: int = 1_000_000
    """Pixels that the provider counts as one megapixel."""


@dataclass(frozen=True)
class ModelSpec:
    """One model at one provider."""

    provider: str
    id: str
    media: Literal["image", "video"]
    fields: Mapping[str, Field]
    price: Price
    defaults: Mapping[str, object]
    """Native values of the fields that shape the media, when a request leaves them out."""

    single_output: bool = False
    """Replicate only: a picture comes back as one URL instead of a list."""

    route: str = ""
    """Which of the provider's paths serves the model, where it has several; each provider's file has its words."""

    answers: tuple[str, ...] = ()
    """Fal only: what a result holds."""

    source: Source | None = None
    """Where the fields come from; None where docs/sandbox.md says it of the whole provider."""

    variants: Tagged | None = None
    """Kinds of input, where the fields depend on one of them; `fields` then only names the usual ones."""

    def problems(self, given: Mapping[str, object], root: str | tuple[str, ...]) -> list[Violation]:
        """Return what is wrong with an input whose paths start at `root`."""
        if self.variants is None:
            return check(self.fields, given, root)
        top = (root,) if isinstance(root, str) else root
        if problem := self.variants.problem(given):
            return [Violation((*top, self.variants.tag), *problem, given.get(self.variants.tag))]
        return self.variants.inside(given, top)
