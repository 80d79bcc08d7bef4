"""Each route, its payload and its envelope."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from babysea.generation.v1 import generation_pb2
from gateway.v1 import library_responses, responses
from tests.contract.gateway.conftest import IMAGE, PROMPT, VIDEO, World
from tests.contract.gateway.fake_region import ACCOUNT_ID, ATTEMPT_ID, GENERATION_ID, video

ROUTES: list[tuple[str, str, dict[str, Any] | None, Any]] = [
    ("GET", "/v1/status", None, responses.Envelope[responses.StatusData]),
    ("GET", "/v1/user/account", None, responses.Envelope[responses.AccountData]),
    ("GET", "/v1/user/billing", None, responses.Envelope[responses.BillingData]),
    ("GET", "/v1/estimate/bfl/flux-1.1-pro", None, responses.Envelope[responses.EstimateData]),
    ("POST", IMAGE, PROMPT, responses.Envelope[responses.CreatedData]),
    ("POST", VIDEO, {**PROMPT, "generation_duration": 5}, responses.Envelope[responses.CreatedData]),
    ("GET", "/v1/content/list", None, responses.ListEnvelope[responses.RecordsData]),
    ("GET", f"/v1/content/{GENERATION_ID}", None, responses.Envelope[responses.RecordData]),
    (
        "POST",
        f"/v1/content/generation/cancel/{GENERATION_ID}",
        None,
        responses.Envelope[responses.CancelData],
    ),
    ("DELETE", f"/v1/content/{GENERATION_ID}", None, responses.Envelope[responses.DeleteData]),
    ("GET", f"/v1/content/{GENERATION_ID}/timeline", None, responses.Envelope[responses.TimelineData]),
    ("GET", "/v1/library/models", None, responses.Envelope[library_responses.ModelsData]),
    ("GET", "/v1/library/providers", None, responses.Envelope[library_responses.ProvidersData]),
]


def data(reply: httpx.Response) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    payload: dict[str, Any] = reply.json()["data"]
    return payload


@pytest.mark.parametrize(("method", "path", "body", "shape"), ROUTES)
async def test_every_route_answers_in_the_success_envelope_and_in_its_documented_shape(
    world: World, method: str, path: str, body: dict[str, Any] | None, shape: Any
) -> None:
    reply = await world.client.request(method, path, json=body)
    envelope = reply.json()
    assert reply.status_code == 200, reply.text
    assert list(envelope)[:5] == ["status", "request_id", "message", "timestamp", "data"]
    assert re.fullmatch(r"req_[0-9A-Za-z]{22}", envelope["request_id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", envelope["timestamp"])
    TypeAdapter(shape).validate_python(envelope, strict=True)


async def test_status_describes_the_key(world: World) -> None:
    reply = await world.client.get("/v1/status")
    assert reply.json()["message"] == "API connected successfully"
    assert data(reply) == {
        "account_id": ACCOUNT_ID,
        "apikey_id": ATTEMPT_ID,
        "apikey_name": "main",
        "apikey_prefix": "bye_us_4fJ0",
        "apikey_created_at": "2026-11-22T01:02:03.004Z",
        "apikey_last_used_at": None,
        "apikey_expires_at": None,
    }


async def test_the_balance_is_an_exact_json_number(world: World) -> None:
    reply = await world.client.get("/v1/user/billing")
    assert '"billing_credit_balance":12.345678' in reply.text
    assert data(reply)["billing_plan"] == "Starter Monthly"


async def test_a_delete_says_how_many_files_went(world: World) -> None:
    reply = await world.client.delete(f"/v1/content/{GENERATION_ID}")
    assert reply.json()["message"] == "Generation deleted successfully"
    assert data(reply) == {"generation_id": GENERATION_ID, "files_deleted": 1}


async def test_a_timeline_shows_each_entry_in_its_public_form(world: World) -> None:
    at = "2026-11-22T01:02:03.004Z"
    assert data(await world.client.get(f"/v1/content/{GENERATION_ID}/timeline")) == {
        "generation_id": GENERATION_ID,
        "timeline": [
            {"at": at, "entry": "state", "generation_status": "pending", "amount": 0.005},
            {"at": at, "entry": "decision", "decision": "order_planned", "providers": ["replicate", "fal"]},
            {
                "at": at,
                "entry": "attempt",
                "attempt_id": ATTEMPT_ID,
                "attempt_number": 1,
                "provider": "replicate",
                "attempt_status": "failed",
                "error": {
                    "provider": "replicate",
                    "code": "BSE4003",
                    "type": "provider_unavailable",
                    "message": "Away.",
                    "retryable": False,
                },
            },
            {
                "at": at,
                "entry": "decision",
                "decision": "failed_over",
                "providers": ["fal"],
                "cause_code": "BSE4003",
            },
        ],
    }


async def test_a_deadline_reaches_the_region_only_when_it_was_said(world: World) -> None:
    await world.create(generation_deadline_seconds=7)
    await world.create()
    said, unsaid = world.us.requests("CreateGeneration")
    assert (said.deadline_seconds, said.HasField("deadline_seconds")) == (7, True)
    assert not unsaid.HasField("deadline_seconds")


async def test_a_create_answers_with_the_admitted_generation(world: World) -> None:
    reply = await world.create(generation_provider_order="replicate, fal", generation_guidance_scale=3.5)
    assert reply.json()["message"] == "Generation initialized"
    assert data(reply) == {
        "model_identifier": "bfl/flux-schnell",
        "generation_provider_order": ["replicate", "fal"],
        "generation_prediction_id": ATTEMPT_ID,
        "generation_id": GENERATION_ID,
        "generation_initialized": True,
    }
    (order,) = world.us.requests("CreateGeneration")
    assert order.model_identifier == "bfl/flux-schnell"
    assert order.media == generation_pb2.MEDIA_IMAGE
    assert order.prompt == "a lighthouse"
    assert order.provider_order == "replicate, fal"
    assert dict(order.extras.items()) == {"guidance_scale": 3.5}
    assert not order.HasField("output_number")


async def test_a_video_create_carries_every_field(world: World) -> None:
    body = {
        "generation_prompt": "waves",
        "generation_ratio": "16:9",
        "generation_output_format": "mp4",
        "generation_duration": 5,
        "generation_resolution": "720p",
        "generation_generate_audio": True,
        "generation_input_file": ["https://example.com/a.png"],
        "generation_input_file_last_content": "https://example.com/b.png",
    }
    assert (await world.client.post(VIDEO, json=body)).status_code == 200
    (order,) = world.us.requests("CreateGeneration")
    assert order.media == generation_pb2.MEDIA_VIDEO
    assert (order.ratio, order.output_format, order.duration) == ("16:9", "mp4", 5.0)
    assert (order.resolution, order.generate_audio) == ("720p", True)
    assert list(order.input_file) == ["https://example.com/a.png"]
    assert order.input_file_last_content == "https://example.com/b.png"


async def test_a_model_identifier_may_be_encoded_or_not(world: World) -> None:
    for path in ("bfl/flux-1.1-pro", "bfl%2Fflux-1.1-pro"):
        assert (await world.client.post(f"/v1/generate/image/{path}", json=PROMPT)).status_code == 200
    assert {order.model_identifier for order in world.us.requests("CreateGeneration")} == {"bfl/flux-1.1-pro"}


async def test_a_replay_says_so_in_a_header_and_not_in_the_body(world: World) -> None:
    first = await world.create()
    world.us.replayed = True
    second = await world.create()
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert "replayed" not in second.text


async def test_the_replay_of_a_canceled_create_says_canceled(world: World) -> None:
    world.us.replayed = True
    world.us.generation.state = generation_pb2.STATE_CANCELED
    reply = await world.create()
    assert reply.headers["idempotency-replayed"] == "true"
    assert data(reply) == {"generation_id": GENERATION_ID, "generation_status": "canceled"}


async def test_a_picture_record_has_exactly_the_fields_of_the_contract(world: World) -> None:
    assert data(await world.client.get(f"/v1/content/{GENERATION_ID}")) == {
        "account_id": ACCOUNT_ID,
        "generation_id": GENERATION_ID,
        "model_identifier": "bfl/flux-schnell",
        "generation_provider_order": ["replicate", "fal"],
        "generation_provider_used": "replicate",
        "generation_prediction_id": ATTEMPT_ID,
        "generation_status": "succeeded",
        "generation_prompt": "a lighthouse",
        "generation_ratio": "1:1",
        "generation_output_format": "png",
        "generation_output_number": 1,
        "generation_input_file": None,
        "generation_output_file": ["https://files.example/1.png"],
        "generation_created_at": "2026-11-22T01:02:03.004Z",
        "generation_started_at": "2026-11-22T01:02:04.004Z",
        "generation_completed_at": "2026-11-22T01:02:05.504Z",
        "generation_metrics_total_time": 2.5,
        "generation_metrics_predict_time": 1.25,
        "generation_output_expires_at": "2026-11-23T01:02:03.004Z",
        "generation_guidance_scale": 3.5,
        "generation_steps": 28,
        "generation_enhance": True,
    }


async def test_a_waiting_video_record_has_nulls_for_what_is_not_known_yet(world: World) -> None:
    world.us.generation = video()
    record = data(await world.client.get(f"/v1/content/{GENERATION_ID}"))
    assert record["generation_status"] == "pending"
    assert record["generation_duration"] == 5
    assert record["generation_resolution"] == "720p"
    assert record["generation_generate_audio"] is False
    assert record["generation_audio_mode"] == "noaudio"
    for name in ("provider_used", "output_file", "started_at", "completed_at", "metrics_total_time"):
        assert record[f"generation_{name}"] is None
    assert not {"generation_error", "generation_error_code", "generation_removed"} & set(record)


async def test_a_failed_record_tells_the_error_and_what_each_provider_said(world: World) -> None:
    made = world.us.generation
    made.state = generation_pb2.STATE_FAILED
    made.provider_used = ""
    made.error_code, made.error_message = "BSE4004", "Every inference provider in the order failed."
    made.provider_errors.add(provider="fal", code="BSE4003", type="provider_unavailable", message="Away.")
    made.removed = True
    record = data(await world.client.get(f"/v1/content/{GENERATION_ID}"))
    assert record["generation_error_code"] == "BSE4004"
    assert record["generation_error"] == "Every inference provider in the order failed."
    assert record["generation_provider_used"] is None
    assert record["generation_removed"] is True
    assert record["generation_provider_errors"] == [
        {
            "provider": "fal",
            "code": "BSE4003",
            "type": "provider_unavailable",
            "message": "Away.",
            "retryable": False,
        }
    ]


@pytest.mark.parametrize(
    ("query", "limit", "offset"),
    [("", 50, 0), ("?limit=2&offset=3", 2, 3), ("?limit=0", 1, 0), ("?limit=100000000000000000000", 100, 0)],
)
async def test_a_list_is_clamped_and_carries_its_page_beside_the_data(
    world: World, query: str, limit: int, offset: int
) -> None:
    reply = await world.client.get(f"/v1/content/list{query}")
    body = reply.json()
    assert (body["total"], body["limit"], body["offset"]) == (7, limit, offset)
    assert [one["generation_status"] for one in data(reply)["generations"]] == ["succeeded", "pending"]


async def test_a_cancel_tells_what_it_did(world: World) -> None:
    reply = await world.client.post(f"/v1/content/generation/cancel/{GENERATION_ID}")
    assert data(reply) == {
        "generation_id": GENERATION_ID,
        "generation_status": "canceled",
        "provider_cancel_sent": False,
        "credits_refunded": True,
    }


async def test_an_estimate_does_the_arithmetic_of_the_contract(world: World) -> None:
    reply = await world.client.get(
        "/v1/estimate/bfl/flux-1.1-pro?count=5&duration=2.5&resolution=720p&audio=true"
    )
    assert data(reply) == {
        "model_identifier": "bfl/flux-1.1-pro",
        "model_type": "image",
        "assets_count": 5,
        "cost_per_generation": 0.052,
        "cost_total_consumed": 0.26,
        "credit_balance": 12.48,
        "credit_balance_can_afford": True,
        "credit_balance_max_affordable": 240,
    }
    (question,) = world.us.requests("EstimateGeneration")
    assert (question.duration, question.resolution, question.audio) == (2.5, "720p", True)


async def test_the_library_shows_prices_as_a_number_or_by_tier(world: World) -> None:
    models = data(await world.client.get("/v1/library/models"))
    assert models["models_total"] == 2
    picture, film = models["models"]
    assert picture["model_pricing"] == 0.005
    assert "generation_duration" not in picture["schema"]
    assert film["model_pricing"] == {"480p": 0.03, "720p": 0.062}
    assert film["schema"]["generation_duration"] == [5, 2.5]
    providers = data(await world.client.get("/v1/library/providers"))
    assert providers["providers"][0]["babysea_implementation"]["cancel_method"] is None
    assert providers["providers"][0]["babysea_implementation"]["supported_media_types"] == ["image", "video"]
