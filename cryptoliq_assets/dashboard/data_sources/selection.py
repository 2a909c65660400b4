"""Selection of the data source from the settings."""

from cryptoliq_assets.core import Settings
from cryptoliq_assets.dashboard.data_sources.base import Source
from cryptoliq_assets.dashboard.data_sources.http import ApiSource
from cryptoliq_assets.dashboard.data_sources.local import LocalSource


def select_source(settings: Settings) -> Source:
    """Return the service if the settings name one, otherwise the data directory."""
    if settings.dashboard.api_url:
        return ApiSource(
            settings.dashboard.api_url,
            settings.dashboard.api_key.get_secret_value() if settings.dashboard.api_key else None,
        )
    return LocalSource(settings)
