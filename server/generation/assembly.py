"""Puts the parts of the generation services together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from server.generation import store
from server.generation.admission import AdmissionDesk
from server.generation.cancellation import Cancellation
from server.generation.estimation import Estimator
from server.generation.file_servicer import FileServicer
from server.generation.file_urls import FileSigner
from server.generation.reading import Reading
from server.generation.records import Records
from server.generation.servicer import GenerationServicer
from server.generation.storage import OutputStore
from server.runtime.combiner import Combiner
from server.runtime.dependencies import Dependencies


def generation_servicer(shared: Dependencies) -> tuple[GenerationServicer, Callable[[], Awaitable[None]]]:
    """The generation service, and what to await when it stops."""
    databases = shared.databases

    async def admit(items: Sequence[store.Admission]) -> Sequence[store.Verdict]:
        return await store.admit_many(databases.admitter, items)

    combiner = Combiner("admit", admit)
    reading = Reading(databases.app, Records(shared.envelope, _signer(shared), shared.clock))
    servicer = GenerationServicer(
        AdmissionDesk(shared.catalog, shared.envelope, combiner, reading, shared.clock),
        reading,
        Cancellation(databases.admitter, databases.app, reading),
        Estimator(shared.catalog, databases.app),
    )
    return servicer, combiner.close


def file_servicer(shared: Dependencies) -> FileServicer:
    """The file service."""
    outputs = OutputStore(shared.settings.storage_url, shared.settings.data_dir)
    return FileServicer(shared.databases.app, outputs, _signer(shared), shared.clock)


def _signer(shared: Dependencies) -> FileSigner:
    return FileSigner(shared.envelope.master, shared.settings.api_base_url)
