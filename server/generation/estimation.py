"""Estimates: what a request would cost, and whether the balance covers it. Nothing is reserved."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.generation.v1 import generation_service_pb2
from server.catalog import Catalog
from server.generation.pricing import estimate_price
from server.ledger import reading as ledger

_MOST = 100


@dataclass(frozen=True, slots=True)
class Estimator:
    """Prices requests."""

    catalog: Catalog
    app: AsyncEngine

    async def estimate(
        self, account_id: UUID, request: generation_service_pb2.EstimateGenerationRequest
    ) -> generation_service_pb2.EstimateGenerationResponse:
        """The price of `count` generations; the balance is left out when it cannot be read.

        Raises:
            BabySeaError: MODEL_NOT_FOUND, or a value that the model does not have.
        """
        model = self.catalog.model(request.model_identifier)
        price = estimate_price(
            model,
            duration=request.duration if request.HasField("duration") else None,
            resolution=request.resolution,
            audio=request.audio if request.HasField("audio") else None,
        )
        count = min(max(request.count, 1), _MOST) if request.HasField("count") else 1
        return generation_service_pb2.EstimateGenerationResponse(
            model_identifier=model.identifier,
            media=model.media_value,
            count=count,
            generation_micros=price.generation_micros,
            total_micros=price.generation_micros * count,
            second_micros=price.second_micros,
            duration=price.duration,
            resolution=price.resolution,
            balance_micros=await self._balance(account_id),
        )

    async def _balance(self, account_id: UUID) -> int | None:
        try:
            return (await ledger.balance(self.app, account_id)).available
        except (SQLAlchemyError, OSError):
            return None
