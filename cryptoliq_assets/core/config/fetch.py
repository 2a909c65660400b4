"""Access to the CoinGecko API."""

from typing import Literal

from pydantic import Field, SecretStr

from cryptoliq_assets.core.config.section import SettingsSection


class CoinGeckoSettings(SettingsSection):
    """Plan, limits and timeouts of the CoinGecko API."""

    enabled: bool = Field(
        False,
        description="Whether the fetch_snapshot schedule runs (hourly from 00:40 UTC until the snapshot of the day exists).",
    )
    plan: Literal["keyless", "demo", "pro"] = Field("keyless", description="CoinGecko plan.")
    api_key: SecretStr | None = Field(None, description="API key of the demo or pro plan; sent only as a header.")
    url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@\s]+[^?#@\s]*$",
        description="Base URL of the API; default: that of the plan.",
    )
    top_n: int = Field(500, ge=1, le=20_000, description="Number of coins in a snapshot, the largest by market cap.")
    requests_per_minute: int | None = Field(
        None, ge=1, description="Rate limit, requests per minute; default: keyless 5, demo 30, pro 250."
    )
    requests_per_month: int | None = Field(
        None, ge=0, description="Quota, requests per month, 0: no limit; default: keyless none, demo 10000, pro 100000."
    )
    snapshot_timeout_seconds: float = Field(
        1800.0, gt=0, description="Timeout for fetching a snapshot (seconds), waits included."
    )
    history_timeout_seconds: float = Field(
        21_600.0, gt=0, description="Timeout for one run of fetch history (seconds)."
    )
    request_timeout_seconds: float = Field(
        30.0, gt=0, description="Timeout for connecting or for the next bytes of one request (seconds)."
    )
    backoff_seconds: float = Field(
        60.0,
        gt=0,
        description="Wait after a 429 response without Retry-After (seconds); the backoff after other errors starts lower.",
    )
