"""SettingsService: protobuf in, protobuf out."""

from __future__ import annotations

from uuid import UUID

from babysea.accounts.v1 import settings_service_pb2 as pb
from babysea.accounts.v1 import settings_service_pb2_grpc
from server.accounts.settings.alerts import read_alerts, update_alerts
from server.accounts.settings.residency import read_settings, update_settings
from server.accounts.settings.standing import set_standing
from server.accounts.settings.store import AlertsRow, SettingsRow
from server.runtime.context import RpcContext
from server.runtime.database import Databases
from server.runtime.encryption import Envelope
from server.runtime.identity import member


class SettingsServicer(settings_service_pb2_grpc.SettingsServiceServicer):
    """Serves babysea.accounts.v1.SettingsService."""

    def __init__(self, databases: Databases, envelope: Envelope) -> None:
        self._databases = databases
        self._envelope = envelope

    async def GetSettings(  # noqa: N802
        self, request: pb.GetSettingsRequest, context: RpcContext
    ) -> pb.GetSettingsResponse:
        """Settings of an account."""
        row = await read_settings(self._databases.app, member().account)
        return pb.GetSettingsResponse(settings=_settings(row))

    async def UpdateSettings(  # noqa: N802
        self, request: pb.UpdateSettingsRequest, context: RpcContext
    ) -> pb.UpdateSettingsResponse:
        """Changes settings."""
        residency = request.residency if request.HasField("residency") else None
        row = await update_settings(self._databases.app, member(), residency=residency)
        return pb.UpdateSettingsResponse(settings=_settings(row))

    async def GetAlerts(self, request: pb.GetAlertsRequest, context: RpcContext) -> pb.GetAlertsResponse:  # noqa: N802
        """Alerts of an account."""
        return pb.GetAlertsResponse(alerts=_alerts(await read_alerts(self._databases.app, member().account)))

    async def UpdateAlerts(  # noqa: N802
        self, request: pb.UpdateAlertsRequest, context: RpcContext
    ) -> pb.UpdateAlertsResponse:
        """Replaces alerts."""
        row = await update_alerts(
            self._databases.app,
            member(),
            thresholds=request.threshold_micros,
            in_app=request.in_app if request.HasField("in_app") else None,
            email=request.email if request.HasField("email") else None,
            webhook=request.webhook if request.HasField("webhook") else None,
        )
        return pb.UpdateAlertsResponse(alerts=_alerts(row))

    async def SetStanding(  # noqa: N802
        self, request: pb.SetStandingRequest, context: RpcContext
    ) -> pb.SetStandingResponse:
        """Restricts, freezes or frees an account."""
        changed = await set_standing(
            self._databases.worker,
            self._envelope,
            UUID(request.account_id),
            standing=request.standing,
            reason=request.reason,
        )
        return pb.SetStandingResponse(standing=request.standing, changed=changed)


def _settings(row: SettingsRow) -> pb.Settings:
    return pb.Settings(residency=row.residency, standing=row.standing)


def _alerts(row: AlertsRow) -> pb.Alerts:
    return pb.Alerts(threshold_micros=row.thresholds, in_app=row.in_app, email=row.email, webhook=row.webhook)
