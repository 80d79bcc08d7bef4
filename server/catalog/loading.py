"""Loads the catalog from its files and checks it as a whole; a process that cannot load it does not start."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import MappingProxyType

from server.catalog.errors import CatalogError
from server.catalog.model_file import read_model
from server.catalog.plans_file import read_plans
from server.catalog.providers_file import read_providers
from server.catalog.table import Table
from server.catalog.types import Catalog, Model

_BUILT_IN = Path(__file__).parent / "data"
_PLANS = "plans.toml"
_PROVIDERS = "providers.toml"
_MODELS = "models"


def load_catalog(override_dir: Path | None = None) -> Catalog:
    """The built-in catalog; a file of the same name below `override_dir` replaces a built-in one.

    A file in its folder `models` that has no built-in namesake adds a model.

    Raises:
        CatalogError: a file cannot be read, or says something that is missing, unknown or contradictory.
    """
    files = _files(override_dir)
    providers = read_providers(_read(_PROVIDERS, files[_PROVIDERS]))
    plans, failures, welcome = read_plans(_read(_PLANS, files[_PLANS]))
    models: dict[str, Model] = {}
    for name in sorted(name for name in files if name.startswith(f"{_MODELS}/")):
        model = read_model(_read(name, files[name]), providers)
        if model.identifier in models:
            raise CatalogError(name, "identifier", f"{model.identifier!r} belongs to another file already")
        models[model.identifier] = model
    return Catalog(
        models=MappingProxyType(dict(sorted(models.items()))),
        providers=MappingProxyType(dict(sorted(providers.items()))),
        plans=MappingProxyType(plans),
        pre_auth_failures_per_minute=failures,
        welcome_micros=welcome,
    )


def _files(override_dir: Path | None) -> dict[str, Path]:
    """Every catalog file by its name below the data folder."""
    files = _toml_files(_BUILT_IN)
    if override_dir is None:
        return files
    if not override_dir.is_dir():
        raise CatalogError(
            str(override_dir), "", "is not a folder; set BABYSEA_CATALOG_DIR to one or leave it out"
        )
    for name, path in _toml_files(override_dir).items():
        if name not in files and not name.startswith(f"{_MODELS}/"):
            raise CatalogError(
                name, "", "replaces nothing; call it plans.toml, providers.toml or models/<name>.toml"
            )
        files[name] = path
    return files


def _toml_files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.toml")}


def _read(name: str, path: Path) -> Table:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(name, "", f"is not TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(name, "", "cannot be read; check that it is UTF-8 and readable") from error
    return Table(name, "", content)
