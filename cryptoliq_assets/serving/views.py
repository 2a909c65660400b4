"""Views of a data directory's forecasts, coins and champion: plain values that any JSON encoder accepts, read from the files as they are now.

The API returns them and the dashboard displays them. Views of all models and of data health, which only the dashboard of a data directory
displays, belong in `home_views`. Unknown numbers are None; dates are ISO texts, times ISO texts in UTC.
"""

import datetime as dt
from typing import Any

import pandas as pd

from cryptoliq_assets.core import Settings, month_of, months_between
from cryptoliq_assets.forecasting import FLAGS, newest_date
from cryptoliq_assets.modeling.estimators import current_model_name, model_version_of, normalize_model_versions
from cryptoliq_assets.modeling.registry import ModelRejectedError, open_model_store
from cryptoliq_assets.storage import TableStore

MEAN_30D = "liquidity_score_mean_30d"
# Fields of a coin's newest forecast, by which such forecasts can also be sorted.
ITEM_FIELDS = ["coin", "symbol", "liquidity_score", "lower", "upper", "today", "change", "mean_30d", "below_mean"]
ITEM_FIELDS += ["price", "24h", "24h_volume", "mkt_cap", "rank", *FLAGS]
# Months in which a coin is searched for.
_MAX_MONTHS = 24
_SNAPSHOT = ("price", "1h", "24h", "7d", "24h_volume", "mkt_cap", "liquidity_ratio", "price_change_24h")
_FORECAST = ["coin", "date", "target_date", "model_version", "made_at", "liquidity_score", "lower", "upper"]
_FORECAST += FLAGS


def load_latest_forecasts(settings: Settings, store: TableStore) -> dict[str, Any]:
    """Load the newest forecasts, one item per coin, sorted by coin.

    If several models forecast the newest date, the current model's forecasts are used, else those of the model that forecast last.

    Args:
        settings: Settings of the data directory.
        store: Its tables.

    Returns:
        date, target_date, model_version, made_at, count and items; `count` is 0 and there is no date if there are no forecasts. Of an
        item, liquidity_score with lower and upper is the forecast, `today` the score of the snapshot that it was made from, `change`
        forecast − today, `below_mean` forecast − mean_30d (negative: below its 30-day mean), `rank` the rank by market cap in the
        snapshot, `filled` and `outlier` whether price or volume of that date was filled, or replaced as an outlier.

    Raises:
        InvalidTableError: If a month's file cannot be read.
    """
    forecasts = read_newest_forecasts(settings, store)
    if forecasts is None:
        return {**dict.fromkeys(("date", "target_date", "model_version", "made_at")), "count": 0, "items": []}
    newest, version = forecasts["date"].iloc[0].date(), str(forecasts["model_version"].iloc[0])
    features = _read_day(store, "engineered_features", newest, ["coin", "symbol", "date", "liquidity_score", MEAN_30D])
    cells = _read_day(store, "cleaned_snapshots", newest, ["coin", "date", "price", "24h", "24h_volume", "mkt_cap"])
    cells["rank"] = cells["mkt_cap"].rank(ascending=False, method="first")
    features = features.rename(columns={"liquidity_score": "today", MEAN_30D: "mean_30d"})
    items = forecasts[["coin", "liquidity_score", "lower", "upper", *FLAGS]].merge(features, on="coin", how="left")
    items = items.merge(cells.drop(columns="date"), on="coin", how="left").sort_values("coin", kind="stable")
    items["change"] = items["liquidity_score"] - items["today"]
    items["below_mean"] = items["liquidity_score"] - items["mean_30d"]
    rows = to_records(items[ITEM_FIELDS])
    for row in rows:
        row["rank"] = None if row["rank"] is None else int(row["rank"])
    return {
        "date": newest.isoformat(),
        "target_date": str(forecasts["target_date"].iloc[0].date()),
        "model_version": version,
        "made_at": to_utc_text(forecasts["made_at"].max()),
        "count": len(rows),
        "items": rows,
    }


def read_newest_forecasts(settings: Settings, store: TableStore) -> pd.DataFrame | None:
    """Read the forecasts of the newest date, the last one of each coin, by one model.

    Args:
        settings: Settings of the data directory.
        store: Its tables.

    Returns:
        One row per coin, by the current model, else by the model that forecast last; None if there are no forecasts.

    Raises:
        InvalidTableError: If the newest month is damaged.
    """
    for month in store.months("forecasts")[-1:]:
        # A damaged month has no fingerprint, and would be skipped silently.
        if store.stamp("forecasts", month) is None:
            store.verify("forecasts", month)
    newest = newest_date(store, "forecasts")
    if newest is None:
        return None
    forecasts = _read_day(store, "forecasts", newest, _FORECAST)
    is_shown = forecasts["model_version"] == _displayed_version(settings, forecasts)
    return forecasts[is_shown].sort_values("made_at", kind="stable").drop_duplicates("coin", keep="last")


def build_coin_view(settings: Settings, store: TableStore, coin: str, *, days: int = 180) -> dict[str, Any] | None:
    """Build the view of one coin: the last `days` days before the newest snapshot, with its forecasts.

    Args:
        settings: Settings of the data directory.
        store: Its tables.
        coin: Name of the coin.
        days: Number of days. For a coin without rows in them, they end with its last row.

    Returns:
        None for an unknown coin. Otherwise history: score and cells of each day; forecasts: all stored ones, with the actual
        score of the target date as `realised` (None until it is known); latest: its forecast from the newest forecast date, None if
        there is none; snapshot: its newest row with the fields of a prediction request.
    """
    last = _find_last_date(store, coin, days=days)
    if last is None:
        return None
    since = last - dt.timedelta(days=days - 1)
    months = months_between(month_of(since), month_of(newest_date(store, "cleaned_snapshots") or last))

    def read_rows(table: str, columns: list[str]) -> pd.DataFrame:
        rows = store.read(table, months, columns=["coin", "date", *columns], coin=coin)
        return rows[rows["date"] >= pd.Timestamp(since)].drop(columns="coin")

    cells = read_rows("cleaned_snapshots", ["symbol", *_SNAPSHOT])
    labels = read_rows("labels", ["target_date", "liquidity_score", "target_score"])
    forecasts = read_rows("forecasts", _FORECAST[2:]).sort_values(["date", "made_at"], kind="stable")
    forecasts["model_version"] = normalize_model_versions(forecasts["model_version"])
    actual = labels[["date", "target_date", "target_score"]].rename(columns={"target_score": "realised"})
    forecasts = forecasts.merge(actual, on=["date", "target_date"], how="left")
    history = cells.merge(labels[["date", "liquidity_score"]], on="date", how="left")
    newest = cells.iloc[-1]
    return {
        "coin": coin,
        "symbol": None if pd.isna(newest["symbol"]) else str(newest["symbol"]),
        "history": to_records(history[["date", "liquidity_score", "price", "24h_volume", "mkt_cap"]]),
        "forecasts": to_records(forecasts[[*_FORECAST[1:3], *_FORECAST[5:], "model_version", "made_at", "realised"]]),
        "latest": _read_latest_forecast(settings, store, coin),
        "snapshot": to_records(cells.iloc[[-1]][["date", *_SNAPSHOT]])[0],
    }


def build_model_view(settings: Settings) -> dict[str, Any] | None:
    """Build the view of the model that serves.

    Args:
        settings: Settings of the data directory.

    Returns:
        Its metadata, with `passed_over`: why newer models, the current one first, do not serve. None if there is no champion.

    Raises:
        ModelRejectedError: If no stored model is valid; the message states all reasons.
    """
    store = open_model_store(settings)
    if store.current_version() is None:
        return None
    version, reasons = store.latest_valid_version()
    if version is None:
        raise ModelRejectedError("; ".join(reasons))
    metadata = store.metadata(version)
    names = {"model_name": current_model_name(metadata["model_name"]), "model_version": model_version_of(metadata)}
    return {**metadata, **names, "passed_over": reasons}


def _read_latest_forecast(settings: Settings, store: TableStore, coin: str) -> dict[str, Any] | None:
    """The coin's forecast from the newest forecast date, with its score of that date and its 30-day mean."""
    newest = newest_date(store, "forecasts")
    if newest is None:
        return None
    all_coins = _read_day(store, "forecasts", newest, ["coin", "date", "model_version", "made_at"])
    forecasts = _read_day(store, "forecasts", newest, _FORECAST, coin=coin)
    is_shown = forecasts["model_version"] == _displayed_version(settings, all_coins)
    forecasts = forecasts[is_shown].sort_values("made_at", kind="stable")
    if forecasts.empty:
        return None
    features = _read_day(store, "engineered_features", newest, ["coin", "date", "liquidity_score", MEAN_30D], coin=coin)
    features = features.rename(columns={"liquidity_score": "today", MEAN_30D: "mean_30d"})
    row = forecasts.iloc[[-1]].merge(features.drop(columns="date"), on="coin", how="left")
    row["change"] = row["liquidity_score"] - row["today"]
    row["below_mean"] = row["liquidity_score"] - row["mean_30d"]
    return to_records(row.drop(columns="coin"))[0]


def _find_last_date(store: TableStore, coin: str, *, days: int) -> dt.date | None:
    """Find the last date to show of a coin: the newest of all if it has a row in the days before, else its own last one.

    None if it has no row in the last 24 stored months: an unknown name must not cause a search through all of them.
    """
    newest = newest_date(store, "cleaned_snapshots")
    if newest is None:
        return None
    since = newest - dt.timedelta(days=days - 1)
    for month in store.months("cleaned_snapshots")[: -_MAX_MONTHS - 1 : -1]:
        dates = store.read("cleaned_snapshots", [month], columns=["coin", "date"], coin=coin)["date"]
        if len(dates):
            last: dt.date = dates.max().date()
            return newest if last >= since else last
    return None


def _displayed_version(settings: Settings, forecasts: pd.DataFrame) -> str:
    """Version whose forecasts of a date are displayed: the current one, else the one that forecast last."""
    store = open_model_store(settings)
    current = store.current_version()
    version = None if current is None else store.model_version(current)
    if version is not None and (forecasts["model_version"] == version).any():
        return version
    return str(forecasts.loc[forecasts["made_at"].idxmax(), "model_version"])


def _read_day(
    store: TableStore, table: str, day: dt.date, columns: list[str], *, coin: str | None = None
) -> pd.DataFrame:
    """Read the rows of one date; coin and model_version are plain text, so that frames of different months can be joined."""
    rows = store.read(table, [month_of(day)], columns=columns, coin=coin)
    rows = rows[rows["date"] == pd.Timestamp(day)].reset_index(drop=True)
    rows = rows.astype({name: object for name in ("coin", "symbol", "model_version") if name in columns})
    return (
        rows.assign(model_version=normalize_model_versions(rows["model_version"]))
        if "model_version" in columns
        else rows
    )


def to_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Convert rows to plain dicts.

    Args:
        frame: n rows.

    Returns:
        n dicts: dates as ISO texts, `made_at` as a time, unknown values as None.

    Example:
        >>> to_records(pd.DataFrame({"date": [pd.Timestamp("2025-08-01")], "price": [float("nan")]}))
        [{'date': '2025-08-01', 'price': None}]
    """
    columns = []
    for name in frame.columns:
        values = frame[name]
        if values.dtype.kind == "M":
            texts = values.map(to_utc_text) if name == "made_at" else values.dt.strftime("%Y-%m-%d")
            columns.append(texts.tolist())
        else:
            columns.append([None if value is None or value != value else value for value in values.tolist()])
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def to_utc_text(value: pd.Timestamp) -> str:
    """Format a UTC time without a time zone as ISO text with one.

    Example:
        >>> to_utc_text(pd.Timestamp("2025-08-01 00:10"))
        '2025-08-01T00:10:00Z'
    """
    return f"{value.isoformat(timespec='seconds')}Z"
