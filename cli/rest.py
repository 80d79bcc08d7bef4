"""The public REST API, spoken as any customer's program would."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from cli.errors import CliError, Exit

FINAL = ("succeeded", "failed", "canceled")
_POLL_SECONDS = 0.25
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "video/mp4": ".mp4"}


class Api:
    """One region's API, called with one key."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._client = httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {api_key}", "Accept": "application/json"},
            timeout=httpx.Timeout(30.0, connect=5.0),
            # A proxy of the environment must not see a key that is meant for this machine.
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The `data` of an answer.

        Raises:
            CliError: refused (exit code 4) or unreachable (3).
        """
        return self._data("GET", path, query=query)

    def balance(self) -> float:
        """Credits that can be spent."""
        return float(self.get("/v1/user/billing")["billing_credit_balance"])

    def model(self, identifier: str) -> dict[str, Any]:
        """A model of the library.

        Raises:
            CliError: there is none; the sentence names similar ones.
        """
        models = self.get("/v1/library/models")["models"]
        found = next((model for model in models if model["model_identifier"] == identifier), None)
        if found is not None:
            return dict(found)
        import difflib

        names = [str(model["model_identifier"]) for model in models]
        close = difflib.get_close_matches(identifier, names, n=3, cutoff=0.4) or names
        raise CliError(f"There is no model {identifier!r}; there is {', '.join(close)}.", Exit.REFUSED)

    def create(
        self, media: str, model: str, body: Mapping[str, object], key: str | None = None
    ) -> dict[str, Any]:
        """The `data` of a new generation. `key` is its Idempotency-Key; without one a random one is used."""
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return self._data("POST", f"/v1/generate/{media}/{model}", body=body, headers=headers)

    def record(self, generation_id: str) -> dict[str, Any]:
        """A generation's record."""
        return self.get(f"/v1/content/{generation_id}")

    def wait(
        self, generation_id: str, seconds: float, on_state: Callable[[str], None] | None = None
    ) -> dict[str, Any]:
        """The final record of a generation; `on_state` hears the state at every look.

        Raises:
            CliError: it is not final after `seconds`; it goes on nevertheless.
        """
        deadline = time.monotonic() + seconds
        while True:
            record = self.record(generation_id)
            if on_state is not None:
                on_state(str(record["generation_status"]))
            if record["generation_status"] in FINAL:
                return record
            if time.monotonic() > deadline:
                raise CliError(
                    f"The generation {generation_id} is still {record['generation_status']} after {seconds:.0f} s; "
                    "it goes on, and only a success is charged."
                )
            time.sleep(_POLL_SECONDS)

    def download(self, url: str, to: Path) -> Path:
        """Stores a file of a record below the path `to`, to which the suffix of its type is added.

        Raises:
            CliError: it cannot be read or written.
        """
        try:
            with self._client.stream("GET", url) as answer:
                if answer.status_code != 200:
                    raise CliError(
                        f"The file {_without_query(url)} was answered with status {answer.status_code}."
                    )
                suffix = _SUFFIXES.get(answer.headers.get("content-type", "").partition(";")[0], "")
                path = to.with_name(to.name + suffix)
                draft = path.with_name(f".{path.name}.part")
                with draft.open("wb") as file:
                    for chunk in answer.iter_bytes():
                        file.write(chunk)
                return draft.replace(path)
        except httpx.HTTPError as error:
            raise _unreachable(self.base_url) from error
        except OSError as error:
            raise CliError(
                f"Cannot write {to} ({error.strerror}); choose another place with --output."
            ) from error

    def _data(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, params=query, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise _unreachable(self.base_url) from error
        try:
            envelope = answer.json()
            if answer.is_success:
                return dict(envelope["data"])
            problem = envelope["error"]
            field = (problem.get("details") or {}).get("field")
            where = f" (field {field})" if field and field not in problem["message"] else ""
            message = f"{problem['message'].rstrip('.')}{where} [{problem['code']}]."
        except (ValueError, KeyError, TypeError):
            message = f"{self.base_url} answered with status {answer.status_code}, and not as BabySea does."
        raise CliError(message, Exit.REFUSED)


def _unreachable(base_url: str) -> CliError:
    return CliError(
        f"Nothing answers at {base_url}; see `babysea doctor`, or start it with `babysea up`.",
        Exit.UNREACHABLE,
    )


def _without_query(url: str) -> str:
    """A file's URL without its signature, which is as good as a key until it expires."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
