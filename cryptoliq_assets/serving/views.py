"""What a home has to show of its forecasts and their model: plain values that any JSON encoder takes, as they are now.

The HTTP service answers with them and the app shows them. What only a home's own app shows, all its models and the
soundness of its data, is in `serving/home_views.py`. Numbers that are not known are None; dates are ISO text, moments ISO text in UTC.
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
# What is told of a coin's newest forecast, and what such forecasts can be sorted by.
ITEM = ["coin", "symbol", "liquidity_score", "lower", "upper", "today", "change", "mean_30d", "below_mean"]
ITEM += ["price", "24h", "24h_volume", "mkt_cap", "rank", *FLAGS]
_KNOWN_MONTHS = 24
_SNAPSHOT = ("price", "1h", "24h", "7d", "24h_volume", "mkt_cap", "liquidity_ratio", "price_change_24h")
_FORECAST = ["coin", "date", "target_date", "model_version", "made_at", "liquidity_score", "lower", "upper"]
_FORECAST += FLAGS


def load_latest_forecasts(settings: Settings, store: TableStore) -> dict[str, Any]:
    """The newest forecasts, one item a coin, sorted by coin; `count` 0 and no date while there are none.

    Of several models that forecast the newest date, the current one counts, else the one that did so last. An item:
    liquidity_score with lower and upper is the forecast, `today` the score of the snapshot it was made from, `change`
    forecast − today, `below_mean` forecast − mean_30d (below 0: under the mean of its last 30 days), `rank` that of its
    market cap in the snapshot, `filled` and `outlier` whether price or volume of that day was filled, or replaced as an
    outlier. Raises InvalidTableError where a month file cannot be read.
    """
    made = read_newest_forecasts(settings, store)
    if made is None:
        return {**dict.fromkeys(("date", "target_date", "model_version", "made_at")), "count": 0, "items": []}
    newest, version = made["date"].iloc[0].date(), str(made["model_version"].iloc[0])
    features = _of_day(store, "engineered_features", newest, ["coin", "symbol", "date", "liquidity_score", MEAN_30D])
    cells = _of_day(store, "cleaned_snapshots", newest, ["coin", "date", "price", "24h", "24h_volume", "mkt_cap"])
    cells["rank"] = cells["mkt_cap"].rank(ascending=False, method="first")
    features = features.rename(columns={"liquidity_score": "today", MEAN_30D: "mean_30d"})
    items = made[["coin", "liquidity_score", "lower", "upper", *FLAGS]].merge(features, on="coin", how="left")
    items = items.merge(cells.drop(columns="date"), on="coin", how="left").sort_values("coin", kind="stable")
    items["change"] = items["liquidity_score"] - items["today"]
    items["below_mean"] = items["liquidity_score"] - items["mean_30d"]
    rows = records(items[ITEM])
    for row in rows:
        row["rank"] = None if row["rank"] is None else int(row["rank"])
    return {
        "date": newest.isoformat(),
        "target_date": str(made["target_date"].iloc[0].date()),
        "model_version": version,
        "made_at": moment(made["made_at"].max()),
        "count": len(rows),
        "items": rows,
    }


def read_newest_forecasts(settings: Settings, store: TableStore) -> pd.DataFrame | None:
    """The forecasts that count of the newest date, one a coin: those of the current model, else of the one that forecast
    last, its last of each coin. None while there are none. Raises InvalidTableError where the newest month is damaged."""
    for month in store.months("forecasts")[-1:]:
        # A damaged month has no stamp, and would be passed over in silence.
        if store.stamp("forecasts", month) is None:
            store.verify("forecasts", month)
    newest = newest_date(store, "forecasts")
    if newest is None:
        return None
    made = _of_day(store, "forecasts", newest, _FORECAST)
    made = made[made["model_version"] == _serving_version(settings, made)].sort_values("made_at", kind="stable")
    return made.drop_duplicates("coin", keep="last")


def build_coin_view(settings: Settings, store: TableStore, coin: str, *, days: int = 180) -> dict[str, Any] | None:
    """A coin's last `days` days before the newest snapshot, and what was forecast of them; None for an unknown coin.

    history: score and cells of each day; forecasts: every stored one, with the score `realised` on its target date
    (None while that is not known); latest: its forecast from the newest forecast date, None where it has none;
    snapshot: its newest row in the contract's fields. A coin not seen in those days is shown up to its last one.
    """
    last = _last_day(store, coin, days=days)
    if last is None:
        return None
    since = last - dt.timedelta(days=days - 1)
    months = months_between(month_of(since), month_of(newest_date(store, "cleaned_snapshots") or last))

    def own(table: str, columns: list[str]) -> pd.DataFrame:
        rows = store.read(table, months, columns=["coin", "date", *columns], coin=coin)
        return rows[rows["date"] >= pd.Timestamp(since)].drop(columns="coin")

    cells = own("cleaned_snapshots", ["symbol", *_SNAPSHOT])
    labels = own("labels", ["target_date", "liquidity_score", "target_score"])
    forecasts = own("forecasts", _FORECAST[2:]).sort_values(["date", "made_at"], kind="stable")
    forecasts["model_version"] = normalize_model_versions(forecasts["model_version"])
    realised = labels[["date", "target_date", "target_score"]].rename(columns={"target_score": "realised"})
    forecasts = forecasts.merge(realised, on=["date", "target_date"], how="left")
    history = cells.merge(labels[["date", "liquidity_score"]], on="date", how="left")
    newest = cells.iloc[-1]
    return {
        "coin": coin,
        "symbol": None if pd.isna(newest["symbol"]) else str(newest["symbol"]),
        "history": records(history[["date", "liquidity_score", "price", "24h_volume", "mkt_cap"]]),
        "forecasts": records(forecasts[[*_FORECAST[1:3], *_FORECAST[5:], "model_version", "made_at", "realised"]]),
        "latest": _latest_of(settings, store, coin),
        "snapshot": records(cells.iloc[[-1]][["date", *_SNAPSHOT]])[0],
    }


def build_model_view(settings: Settings) -> dict[str, Any] | None:
    """Metadata of the model that serves, with `passed_over`: why newer ones, the current one first, do not.

    None while there is no champion; raises ModelRefused, with all reasons, where none of the stored ones is intact.
    """
    store = open_model_store(settings)
    if store.current_version() is None:
        return None
    version, reasons = store.latest_valid_version()
    if version is None:
        raise ModelRejectedError("; ".join(reasons))
    metadata = store.metadata(version)
    named = {"model_name": current_model_name(metadata["model_name"]), "model_version": model_version_of(metadata)}
    return {**metadata, **named, "passed_over": reasons}


def _latest_of(settings: Settings, store: TableStore, coin: str) -> dict[str, Any] | None:
    """The coin's forecast from the newest forecast date, with its score of that day and its 30-day mean."""
    newest = newest_date(store, "forecasts")
    if newest is None:
        return None
    day = _of_day(store, "forecasts", newest, ["coin", "date", "model_version", "made_at"])
    made = _of_day(store, "forecasts", newest, _FORECAST, coin=coin)
    made = made[made["model_version"] == _serving_version(settings, day)].sort_values("made_at", kind="stable")
    if made.empty:
        return None
    features = _of_day(store, "engineered_features", newest, ["coin", "date", "liquidity_score", MEAN_30D], coin=coin)
    features = features.rename(columns={"liquidity_score": "today", MEAN_30D: "mean_30d"})
    whole = made.iloc[[-1]].merge(features.drop(columns="date"), on="coin", how="left")
    whole["change"] = whole["liquidity_score"] - whole["today"]
    whole["below_mean"] = whole["liquidity_score"] - whole["mean_30d"]
    return records(whole.drop(columns="coin"))[0]


def _last_day(store: TableStore, coin: str, *, days: int) -> dt.date | None:
    """The day up to which a coin is shown: the newest of all where it was seen in the days before, else its own last.

    None where nothing is known of it in the last 24 months that there are: a name that nobody knows must not cost a
    look at all of them.
    """
    newest = newest_date(store, "cleaned_snapshots")
    if newest is None:
        return None
    since = newest - dt.timedelta(days=days - 1)
    for month in store.months("cleaned_snapshots")[: -_KNOWN_MONTHS - 1 : -1]:
        seen = store.read("cleaned_snapshots", [month], columns=["coin", "date"], coin=coin)["date"]
        if len(seen):
            return newest if seen.max().date() >= since else seen.max().date()
    return None


def _serving_version(settings: Settings, made: pd.DataFrame) -> str:
    """Which of the models that forecast a day is shown."""
    store = open_model_store(settings)
    current = store.current_version()
    serving = None if current is None else store.model_version(current)
    if serving is not None and (made["model_version"] == serving).any():
        return serving
    return str(made.loc[made["made_at"].idxmax(), "model_version"])


def _of_day(
    store: TableStore, table: str, day: dt.date, columns: list[str], *, coin: str | None = None
) -> pd.DataFrame:
    """Rows of one day; coin and model_version are plain text, so that frames of different months join."""
    rows = store.read(table, [month_of(day)], columns=columns, coin=coin)
    rows = rows[rows["date"] == pd.Timestamp(day)].reset_index(drop=True)
    rows = rows.astype({name: object for name in ("coin", "symbol", "model_version") if name in columns})
    return (
        rows.assign(model_version=normalize_model_versions(rows["model_version"]))
        if "model_version" in columns
        else rows
    )


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain dicts: dates as ISO text, `made_at` as a moment, what is not known as None."""
    columns = []
    for name in frame.columns:
        values = frame[name]
        if values.dtype.kind == "M":
            texts = values.map(moment) if name == "made_at" else values.dt.strftime("%Y-%m-%d")
            columns.append(texts.tolist())
        else:
            columns.append([None if value is None or value != value else value for value in values.tolist()])
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def moment(value: pd.Timestamp) -> str:
    """A UTC moment without zone, as ISO text with one."""
    return f"{value.isoformat(timespec='seconds')}Z"
