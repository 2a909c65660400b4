"""Small frames for tests: rows with some values given and the others filled in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cryptoliq_assets.cleaning.imputation import clean_snapshots
from cryptoliq_assets.core.atomic_write import write_file, write_json
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.features import engineer_features
from cryptoliq_assets.labels.targets import label_targets
from cryptoliq_assets.modeling.registry.audit_log import PROMOTION, Ledger, sha256_of
from cryptoliq_assets.modeling.registry.current_pointer import write_pointer
from cryptoliq_assets.modeling.registry.metadata_schema import digests
from cryptoliq_assets.modeling.registry.serialization import library_versions
from cryptoliq_assets.schemas.feature_registry import MODEL_FEATURES
from cryptoliq_assets.schemas.raw import NUMBER_COLUMNS, OPTIONAL_NUMBERS, RANGE_COLUMNS
from cryptoliq_assets.simulation.market import simulate_market
from cryptoliq_assets.storage import TableStore, sort_rows
from cryptoliq_assets.storage.arrow import encode_month
from cryptoliq_assets.storage.checksum import add_checksum

FIRST = pd.Timestamp("2025-03-01")

_ROW: dict[str, Any] = {
    "coin": "Bitcoin",
    "symbol": None,
    "price": 100.0,
    "1h": 0.1,
    "24h": 1.0,
    "7d": 2.0,
    "24h_volume": 1e6,
    "mkt_cap": 1e9,
    "liquidity_ratio": np.nan,
    "price_change_24h": np.nan,
}


def day(number: int) -> pd.Timestamp:
    """Return the timestamp of a day number; day 1 is 1 March 2025."""
    return FIRST + pd.Timedelta(days=number - 1)


def raw_rows(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return raw rows from the values that differ from the default row; `day` is the number of the day."""
    frame = pd.DataFrame([{**_ROW, **row} for row in rows])
    frame["date"] = [day(number) for number in frame.pop("day")]
    frame["symbol"] = frame["symbol"].fillna(frame["coin"].str[:3].str.upper()).astype("category")
    numbers = [*NUMBER_COLUMNS, *RANGE_COLUMNS]
    frame[numbers] = frame.reindex(columns=numbers).astype(float)
    return sort_rows(frame[["coin", "symbol", "date", *numbers]])


def received(rows: pd.DataFrame, *, file: str = "made.csv") -> pd.DataFrame:
    """Return raw rows as stored in the table: from a file without optional columns, the first arrival."""
    absent = [name for name in OPTIONAL_NUMBERS if name not in rows.columns]
    nothing = {"name": pd.Categorical([None] * len(rows)), **dict.fromkeys(absent, np.nan)}
    origin = {"source_file": pd.Categorical([file] * len(rows)), "arrival": 1}
    return rows.assign(**nothing, last_updated=pd.NaT, **origin).astype({"last_updated": "datetime64[ns]"})


def cleaned_rows(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return cleaned rows; flags are false unless given."""
    flags = pd.DataFrame([{name: row.get(name, False) for name in _FLAGS} | _key(row) for row in rows])
    plain = [{name: value for name, value in row.items() if name not in _FLAGS} for row in rows]
    return raw_rows(plain).merge(flags, on=["coin", "date"], how="left").assign(coin=raw_rows(plain)["coin"])


_FLAGS = ("filled_forward", "filled_backward", "outlier")


def _key(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"coin": row.get("coin", _ROW["coin"]), "date": day(row["day"])}


def cleaned_market(*, coins: int, days: int, seed: int = 7) -> pd.DataFrame:
    """Return cleaned rows of a simulated market up to 31 July 2025, with gaps, listings, pegs and empty cells."""
    market = simulate_market(coins=coins, days=days, end=pd.Timestamp("2025-07-31").date(), seed=seed)
    market[["liquidity_ratio", "price_change_24h"]] = np.nan
    market["symbol"] = market["symbol"].astype("category")
    rows = sort_rows(market)
    cleaned, _ = clean_snapshots(rows, since=rows["date"].min(), until=rows["date"].max())
    return cleaned


def fill_home(settings: Settings, days: list[int], **values: Any) -> TableStore:
    """Write features and labels of the coins A and B on these days; return the store."""
    store = TableStore(settings)
    months = sorted({f"{day(number):%Y-%m}" for number in days})
    rows = [{"coin": coin, "day": number, **values} for coin in ("A", "B") for number in days]
    features = engineer_features(cleaned_rows(rows))
    store.write("engineered_features", features, months)
    labels = label_targets(features, horizon_days=settings.horizon_days, since=day(min(days)), until=day(max(days)))
    store.write("labels", labels, months)
    return store


def model_described(**values: Any) -> dict[str, Any]:
    """Return minimal metadata of a model with every field that the store requires."""
    plain = {
        "trained_on": "2025-05-01",
        "features": list(MODEL_FEATURES),
        "formula": "kyle_obizhaeva",
        "horizon_days": 1,
        "known_until": "2025-03-01",
        "promoted_at": "2025-05-01T12:00:00+00:00",
        "evaluation": "over_time",
        "provisional": False,
        "metrics": {"skill": 0.3, "folds": []},
        "folds": [],
        "intervals": {"level": 0.9, "half_widths": {"pooled": 0.1}, "counts": {"pooled": 200}},
        "coverage": {"level": 0.9, "folds": [], "pooled": {}},
        "input_ranges": {"price": [0.1, 100.0]},
    }
    return plain | values


def store_champion(settings: Settings, version: str, **values: Any) -> None:
    """Make this version current and valid in the model store; its artifact contains no model."""
    artifact = version.encode("utf-8")
    found = {
        "version": version,
        "model_name": "XGBoost",
        "sha256": sha256_of(artifact),
        "libraries": library_versions(),
    }
    described = model_described(**found, **values)
    write_file(settings.models_dir / f"{version}.pkl", artifact)
    write_json(settings.models_dir / f"{version}.json", described)
    ledger = Ledger(settings.models_dir / "ledger.jsonl")
    ledger.append({"at": described["promoted_at"], "event": PROMOTION, "version": version, **digests(described)})
    write_pointer(settings.models_dir, version)


def store_forecast(settings: Settings, number: int, *, version: str, coin: str = "A") -> None:
    """Write one forecast of a day into the table."""
    row = {
        "coin": coin,
        "date": day(number),
        "target_date": day(number + 1),
        "known_until": day(number),
        "model_version": version,
        "made_at": pd.Timestamp("2025-05-01 12:00"),
        "liquidity_score": 0.5,
        "lower": 0.4,
        "upper": 0.6,
        "filled": False,
        "outlier": False,
    }
    TableStore(settings).write("forecasts", pd.DataFrame([row]), [f"{day(number):%Y-%m}"])


def write_sealed(path: Path, content: pa.Table) -> None:
    """Write a month file with a valid checksum, bypassing the validation of its rows by the store."""
    path.write_bytes(b"".join(add_checksum(encode_month(content))))
