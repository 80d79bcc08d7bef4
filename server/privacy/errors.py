"""The one way in which a data file of this folder is refused."""

from __future__ import annotations


class PrivacyDataError(Exception):
    """A data file cannot be used; the text names the file and the place and says what is expected."""

    def __init__(self, file: str, place: str, problem: str) -> None:
        self.file = file
        self.place = place
        super().__init__(f"{file}: {f'{place} ' if place else ''}{problem}.")
