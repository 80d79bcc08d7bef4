"""The one way in which a catalog is refused."""

from __future__ import annotations


class CatalogError(Exception):
    """A catalog file cannot be used; the text names the file and the key and says what is expected."""

    def __init__(self, file: str, key: str, problem: str) -> None:
        self.file = file
        self.key = key
        super().__init__(f"Catalog file {file}: {f'{key} ' if key else ''}{problem}.")


class UnsoundCatalogError(CatalogError):
    """A catalog that can be read and must not be sold from; the text names the model and says what is wrong."""

    def __init__(self, subject: str, problem: str) -> None:
        self.file, self.key = "", subject
        Exception.__init__(self, f"{subject} {problem}.")
