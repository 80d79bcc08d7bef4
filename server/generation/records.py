"""Turns stored generations into the contract's messages: opens the request, signs the file URLs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Row

from babysea.generation.v1 import generation_pb2
from kit.clock import Clock
from kit.errors import reason_of_code, spec_of
from server.generation.file_urls import FileSigner
from server.generation.request import GenerationRequest
from server.runtime.encryption import Envelope

REQUEST_PURPOSE = "generation.request"

_STATES = {
    "pending": generation_pb2.STATE_PENDING,
    "processing": generation_pb2.STATE_PROCESSING,
    "succeeded": generation_pb2.STATE_SUCCEEDED,
    "failed": generation_pb2.STATE_FAILED,
    "canceled": generation_pb2.STATE_CANCELED,
}
ATTEMPT_STATES = {
    "submitting": generation_pb2.ATTEMPT_STATE_SUBMITTING,
    "accepted": generation_pb2.ATTEMPT_STATE_ACCEPTED,
    "submit_unknown": generation_pb2.ATTEMPT_STATE_SUBMIT_UNKNOWN,
    "succeeded": generation_pb2.ATTEMPT_STATE_SUCCEEDED,
    "failed": generation_pb2.ATTEMPT_STATE_FAILED,
    "canceled": generation_pb2.ATTEMPT_STATE_CANCELED,
    "discarded": generation_pb2.ATTEMPT_STATE_DISCARDED,
}
"""The contract's states of attempts by the stored words."""


class Records:
    """Makes the messages that customers see."""

    def __init__(self, envelope: Envelope, signer: FileSigner, clock: Clock) -> None:
        self._envelope = envelope
        self._signer = signer
        self._clock = clock

    async def generation(
        self, row: Row[Any], outputs: Sequence[Row[Any]], attempts: Sequence[Row[Any]]
    ) -> generation_pb2.Generation:
        """A stored generation with its files and what its failed providers answered."""
        plaintext = await self._envelope.open(row.account_id, REQUEST_PURPOSE, row.id, row.request_ct)
        message = self.fresh(str(row.id), str(row.account_id), GenerationRequest.from_json(plaintext))
        message.state = _STATES[row.state]
        message.provider_order.extend(row.provider_order)
        message.provider_used = row.provider_used or ""
        message.prediction_id = str(row.prediction_id)
        message.price_micros = row.price
        message.charged_micros = row.charged
        message.error_code = row.error_code or ""
        message.error_message = row.error_message or ""
        message.provider_errors.extend(
            provider_error(error) for error in json.loads(row.provider_errors or "[]")
        )
        _stamp(message.created_at, row.created_at)
        _stamp(message.started_at, row.started_at)
        _stamp(message.completed_at, row.completed_at)
        _stamp(message.deadline_at, row.deadline_at)
        winner = next((attempt for attempt in attempts if attempt.state == "succeeded"), None)
        if winner is not None and winner.run_millis is not None:
            message.predict_seconds = winner.run_millis / 1000
        if row.output_expires_at is not None:
            _stamp(message.output_expires_at, row.output_expires_at)
            message.removed = row.removed_at is not None or row.output_expires_at <= self._clock.now()
            if not message.removed:
                message.outputs.extend(self._file(row, output) for output in outputs)
        return message

    @staticmethod
    def fresh(generation_id: str, account_id: str, request: GenerationRequest) -> generation_pb2.Generation:
        """The part of a record that the request alone decides; its state is pending."""
        message = generation_pb2.Generation(
            generation_id=generation_id,
            account_id=account_id,
            model_identifier=request.model_identifier,
            media=generation_pb2.MEDIA_VIDEO if request.media == "video" else generation_pb2.MEDIA_IMAGE,
            state=generation_pb2.STATE_PENDING,
            prompt=request.prompt,
            ratio=request.ratio,
            output_format=request.output_format,
            output_number=request.output_number,
            input_file=[*request.input_file, *filter(None, [request.input_file_last_content])],
            duration=request.duration,
            resolution=request.resolution,
            generate_audio=request.generate_audio,
        )
        message.extras.update(dict(request.extras))
        return message

    def _file(self, row: Row[Any], output: Row[Any]) -> generation_pb2.OutputFile:
        return generation_pb2.OutputFile(
            url=self._signer.url(row.id, output.ordinal, row.output_expires_at),
            content_type=output.content_type,
            size_bytes=output.size_bytes,
            sha256=output.sha256,
        )


def attempt(row: Row[Any]) -> generation_pb2.Attempt:
    """A stored provider attempt."""
    message = generation_pb2.Attempt(
        attempt_id=str(row.id),
        ordinal=row.ordinal,
        provider=row.provider,
        state=ATTEMPT_STATES[row.state],
        provider_job_id=row.provider_job_id or "",
        cost_micros=row.cost_micros,
    )
    if row.error_code:
        message.error.CopyFrom(
            provider_error({"provider": row.provider, "code": row.error_code, "message": row.error_message})
        )
    _stamp(message.submitted_at, row.submitted_at)
    _stamp(message.resolved_at, row.resolved_at)
    return message


def provider_error(stored: dict[str, str]) -> generation_pb2.ProviderError:
    """What a failed provider answered, from its code and our own sentence."""
    reason = reason_of_code(stored["code"])
    spec = spec_of(reason) if reason is not None else None
    return generation_pb2.ProviderError(
        provider=stored["provider"],
        code=stored["code"],
        type=spec.type if spec else "",
        message=stored.get("message") or (spec.title if spec else ""),
        retryable=bool(spec and spec.retryable),
    )


def _stamp(field: Timestamp, at: datetime | None) -> None:
    if at is not None:
        field.FromDatetime(at)
