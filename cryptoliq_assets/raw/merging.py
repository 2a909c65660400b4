"""Rows of several arrivals made one table, and the proof that none was lost on the way."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.io.tables import empty_frame, sort_rows
from cryptoliq_assets.schemas.tables import TABLES

# Later than any day since 1970.
_LAST = np.iinfo(np.int32).max


def merge_arrivals(existing: pd.DataFrame, parts: list[pa.Table]) -> pd.DataFrame:
    """One row a (coin, date): of several the one that arrived last."""
    spec = TABLES["raw_snapshots"]
    if not parts:
        return existing
    added = pa.concat_tables(parts, promote_options="permissive").unify_dictionaries()
    for name in ("coin", "symbol", "name"):
        place = added.schema.get_field_index(name)
        added = added.set_column(place, name, added[name].combine_chunks().dictionary_encode())
    frame = added.to_pandas()[spec.columns]
    if len(existing):
        frame = pd.DataFrame(
            {
                name: pd.api.types.union_categoricals([existing[name], frame[name]])
                if isinstance(frame[name].dtype, pd.CategoricalDtype)
                else np.concatenate([existing[name].to_numpy(), frame[name].to_numpy()])
                for name in spec.columns
            }
        )
    if frame.empty:
        return empty_frame(spec)
    frame = sort_rows(frame.take(np.argsort(frame["arrival"].to_numpy(), kind="stable")))
    codes, dates = frame["coin"].cat.codes.to_numpy(), frame["date"].to_numpy()
    last = np.append((codes[1:] != codes[:-1]) | (dates[1:] != dates[:-1]), True)
    return frame[last].reset_index(drop=True)


def hold_against(frame: pd.DataFrame, kept: Mapping[int, pa.Table], *, months: Sequence[str]) -> None:
    """Hold merged rows against what was kept of each file (rows by arrival).

    Raises AssertionError unless `frame` (sorted, as `merge_arrivals` leaves it) has one row a (coin, date), and each
    kept row of these months is there: itself, or one of a later arrival in its place.
    """
    if not kept:
        return
    wanted = pa.concat_tables([rows.select(["coin", "date"]) for rows in kept.values()])
    arrivals = np.repeat(np.array([*kept], dtype=np.int64), [rows.num_rows for rows in kept.values()])
    # The place that a coin has among the frame's; where it has none, one after them all.
    names = pa.array(frame["coin"].cat.categories, pa.string())
    coins = pc.fill_null(pc.index_in(wanted["coin"], value_set=names), len(names)).to_numpy()
    days, there = (
        values.astype("datetime64[D]").astype(np.int64)
        for values in (wanted["date"].to_numpy(), frame["date"].to_numpy())
    )
    asked = _in_months(days, months)
    coins, days, arrivals = coins[asked], days[asked], arrivals[asked]
    first = min(days.min(initial=_LAST), there.min(initial=_LAST))
    width = int(max(days.max(initial=first), there.max(initial=first)) - first) + 1
    keys = frame["coin"].cat.codes.to_numpy() * np.int64(width) + there - first
    if (np.diff(keys) <= 0).any():
        raise AssertionError("a coin has two rows of one date: a fault in cryptoliq, not in a file")
    # A cell for each coin and day: to look a million keys up in an order of their own takes ten times as long.
    written = np.zeros((len(names) + 1) * width, dtype=np.int64)
    written[keys] = frame["arrival"].to_numpy()
    lost = written[coins * np.int64(width) + days - first] < arrivals
    if lost.any():
        which = ", ".join(map(str, np.unique(arrivals[lost])[:5]))
        raise AssertionError(
            f"{np.count_nonzero(lost)} rows kept are not among those to be written (arrivals {which}): "
            "a fault in cryptoliq, not in a file"
        )


def _in_months(days: np.ndarray, months: Sequence[str]) -> np.ndarray:
    """Which days since 1970 lie in these months."""
    return np.isin(days.astype("datetime64[D]").astype("datetime64[M]"), np.array(months, dtype="datetime64[M]"))
