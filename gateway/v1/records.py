"""A generation as the public contract shows it: what does not apply is absent, what is not known yet is null."""

from __future__ import annotations

from typing import cast

from babysea.generation.v1 import generation_pb2 as pb
from gateway.v1.requests import PREFIX
from gateway.v1.responses import CanceledData, CreatedData, ProviderErrorData, RecordData
from gateway.v1.values import Number, json_value, plain, when

STATES = {
    pb.STATE_PENDING: "pending",
    pb.STATE_PROCESSING: "processing",
    pb.STATE_SUCCEEDED: "succeeded",
    pb.STATE_FAILED: "failed",
    pb.STATE_CANCELED: "canceled",
}
"""Public words for the states."""


def record(generation: pb.Generation) -> RecordData:
    """The record of a generation."""
    data: dict[str, object] = {
        "account_id": generation.account_id,
        "generation_id": generation.generation_id,
        "model_identifier": generation.model_identifier,
        "generation_provider_order": list(generation.provider_order),
        "generation_provider_used": generation.provider_used or None,
        "generation_prediction_id": generation.prediction_id or None,
        "generation_status": STATES[generation.state],
        "generation_prompt": generation.prompt,
        "generation_output_number": generation.output_number,
        "generation_input_file": list(generation.input_file) or None,
        "generation_output_file": [output.url for output in generation.outputs] or None,
        "generation_created_at": when(generation.HasField("created_at"), generation.created_at),
        "generation_started_at": when(generation.HasField("started_at"), generation.started_at),
        "generation_completed_at": when(generation.HasField("completed_at"), generation.completed_at),
        "generation_metrics_total_time": _total_seconds(generation),
        "generation_metrics_predict_time": (
            plain(generation.predict_seconds) if generation.HasField("predict_seconds") else None
        ),
    }
    if generation.ratio:
        data["generation_ratio"] = generation.ratio
    if generation.output_format:
        data["generation_output_format"] = generation.output_format
    if generation.media == pb.MEDIA_VIDEO:
        data.update(_video_fields(generation))
    data.update(_outcome_fields(generation))
    for name, value in generation.extras.fields.items():
        data.setdefault(PREFIX + name, json_value(value))
    return cast("RecordData", data)


def created(generation: pb.Generation) -> CreatedData | CanceledData:
    """What a create answers; a generation that was canceled meanwhile has nothing else to tell."""
    if generation.state == pb.STATE_CANCELED:
        return {"generation_id": generation.generation_id, "generation_status": "canceled"}
    return {
        "model_identifier": generation.model_identifier,
        "generation_provider_order": list(generation.provider_order),
        "generation_prediction_id": generation.prediction_id,
        "generation_id": generation.generation_id,
        "generation_initialized": True,
    }


def _video_fields(generation: pb.Generation) -> dict[str, object]:
    fields: dict[str, object] = {}
    if generation.HasField("duration"):
        fields["generation_duration"] = plain(generation.duration)
    if generation.HasField("resolution"):
        fields["generation_resolution"] = generation.resolution
    if generation.HasField("generate_audio"):
        fields["generation_generate_audio"] = generation.generate_audio
        fields["generation_audio_mode"] = "audio" if generation.generate_audio else "noaudio"
    return fields


def _outcome_fields(generation: pb.Generation) -> dict[str, object]:
    fields: dict[str, object] = {}
    if generation.state == pb.STATE_FAILED:
        fields["generation_error"] = generation.error_message
        fields["generation_error_code"] = generation.error_code
    if generation.provider_errors:
        fields["generation_provider_errors"] = [provider_error(error) for error in generation.provider_errors]
    if generation.HasField("output_expires_at"):
        fields["generation_output_expires_at"] = when(True, generation.output_expires_at)
    if generation.removed:
        fields["generation_removed"] = True
    return fields


def provider_error(error: pb.ProviderError) -> ProviderErrorData:
    """What one provider answered."""
    return {
        "provider": error.provider,
        "code": error.code,
        "type": error.type,
        "message": error.message,
        "retryable": error.retryable,
    }


def _total_seconds(generation: pb.Generation) -> Number | None:
    if not generation.HasField("completed_at"):
        return None
    millis = generation.completed_at.ToMilliseconds() - generation.created_at.ToMilliseconds()
    return plain(millis / 1000)
