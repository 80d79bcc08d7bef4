"""Puts the parts of the generation services together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from server.generation import store
from server.generation.admission import AdmissionDesk
from server.generation.callback_servicer import CallbackServicer
from server.generation.callbacks import Callbacks
from server.generation.cancellation import Cancellation
from server.generation.deletion import Deletion
from server.generation.estimation import Estimator
from server.generation.execution.callback_address import CallbackAddresses
from server.generation.file_servicer import FileServicer
from server.generation.file_urls import FileSigner
from server.generation.reading import Reading
from server.generation.records import Records
from server.generation.servicer import GenerationServicer
from server.generation.storage import OutputStore
from server.generation.timeline import Timelines
from server.generation.watching import Changes, Watching
from server.providers.verifiers import open_verifiers
from server.runtime.combiner import Combiner
from server.runtime.database_errors import is_locked
from server.runtime.dependencies import Dependencies
from server.runtime.errors import StartError
from server.runtime.fault_points import Point, reach
from server.runtime.transport import file_url_base

_FILE_SHARE = 5
"""One of so many calls that a process takes at a time may be a stream of a file."""


@dataclass(frozen=True, slots=True)
class GenerationParts:
    """The generation service and how it ends."""

    servicer: GenerationServicer
    drain: Callable[[], Awaitable[None]]
    """Awaited when the server begins to drain: streams would otherwise hold it up."""
    close: Callable[[], Awaitable[None]]
    """Awaited when the server has stopped taking calls."""


def generation_parts(shared: Dependencies) -> GenerationParts:
    """The generation service."""
    databases = shared.databases

    async def admit(items: Sequence[store.Admission]) -> Sequence[store.Verdict]:
        reach(Point.ADMISSION_DECIDING)
        verdicts = await store.admit_many(databases.admitter, items)
        reach(Point.ADMISSION_COMMITTED)
        return verdicts

    combiner = Combiner("admit", admit, stops_its_key=is_locked)
    reading = Reading(databases.app, Records(shared.envelope, _signer(shared), shared.clock))
    cancellation = Cancellation(databases.admitter, databases.app, reading)
    watching = Watching(Changes(databases.worker), reading)
    servicer = GenerationServicer(
        AdmissionDesk(
            shared.catalog,
            shared.envelope,
            combiner,
            reading,
            shared.clock,
            shared.settings.region,
            allow_private_inputs=shared.settings.input_allow_private,
        ),
        reading,
        cancellation,
        Deletion(databases.admitter),
        watching,
        Timelines(databases.app),
        Estimator(shared.catalog, databases.app),
    )

    async def close() -> None:
        await watching.close()
        await combiner.close()
        await cancellation.close()

    return GenerationParts(servicer, watching.drain, close)


@dataclass(frozen=True, slots=True)
class CallbackParts:
    """The callback service and how it ends."""

    servicer: CallbackServicer
    close: Callable[[], Awaitable[None]]
    """Awaited when the server has stopped taking calls."""


def callback_parts(shared: Dependencies) -> CallbackParts:
    """The callback service.

    Raises:
        StartError: a secret that it needs is none.
    """
    try:
        verifiers = open_verifiers(shared.settings, shared.catalog)
    except ValueError as error:
        # Written for people.
        raise StartError(str(error)) from error
    addresses = CallbackAddresses(shared.envelope.master, shared.settings.callback_base_url)
    callbacks = Callbacks(shared.databases.app, addresses, verifiers, shared.catalog)
    return CallbackParts(CallbackServicer(callbacks), verifiers.aclose)


def file_servicer(shared: Dependencies) -> FileServicer:
    """The file service."""
    outputs = OutputStore(shared.settings.storage_url, shared.settings.data_dir)
    most = max(1, shared.settings.max_concurrent_rpcs // _FILE_SHARE)
    return FileServicer(shared.databases.app, outputs, _signer(shared), shared.clock, most=most)


def _signer(shared: Dependencies) -> FileSigner:
    return FileSigner(shared.envelope.master, file_url_base(shared.settings))
