"""BabySea for Python programs: how to reach a regional server over gRPC."""

from babysea_sdk.channel import default_service_config, open_channel

__all__ = ["default_service_config", "open_channel"]
