"""Access to the CoinGecko API."""

from typing import Literal

from pydantic import Field, SecretStr

from cryptoliq_assets.core.config.section import SettingsSection


class CoinGeckoSettings(SettingsSection):
    """Plan, limits and timeouts of the CoinGecko API."""

    enabled: bool = Field(
        False, description="Whether the fetch_snapshot schedule runs (hourly from 00:40 UTC until the day is there)."
    )
    plan: Literal["keyless", "demo", "pro"] = Field("keyless", description="Plan at CoinGecko.")
    api_key: SecretStr | None = Field(None, description="Key of the demo or pro plan; sent as a header alone.")
    url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@\s]+[^?#@\s]*$",
        description="Address of the API; default: the plan's.",
    )
    top_n: int = Field(500, ge=1, le=20_000, description="Coins of a snapshot, the largest by market cap.")
    requests_per_minute: int | None = Field(
        None, ge=1, description="Requests a minute; default: keyless 5, demo 30, pro 250."
    )
    requests_per_month: int | None = Field(
        None, ge=0, description="Requests a month, 0: no limit; default: keyless none, demo 10000, pro 100000."
    )
    snapshot_timeout_seconds: float = Field(
        1800.0, gt=0, description="Longest that fetching a snapshot takes, waits included."
    )
    history_timeout_seconds: float = Field(21_600.0, gt=0, description="Longest that one run of fetch history takes.")
    request_timeout_seconds: float = Field(30.0, gt=0, description="Longest wait for a sign of life in one request.")
    backoff_seconds: float = Field(
        60.0,
        gt=0,
        description="Wait after too many requests where the service names no time; faults wait less at first.",
    )
