"""Frames of table rows: order, split by month, empty frames, columns added by later versions.

Add operations on frames here that need no file. Reading and writing files belongs in `parquet_store.py`.
"""

import numpy as np
import pandas as pd

from cryptoliq_assets.core import IntArray
from cryptoliq_assets.schemas import Table


def sort_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by coin and date; `coin` becomes categorical, with sorted categories that all occur.

    Example:
        >>> rows = pd.DataFrame({"coin": ["B", "A"], "date": pd.to_datetime(["2025-07-01", "2025-07-02"])})
        >>> sort_rows(rows)["coin"].tolist()
        ['A', 'B']
    """
    coin = frame["coin"] if isinstance(frame["coin"].dtype, pd.CategoricalDtype) else frame["coin"].astype("category")
    used = np.unique(coin.cat.codes.to_numpy())
    used = used[used >= 0]
    names = coin.cat.categories.to_numpy()[used]
    order = np.argsort(names.astype(str), kind="stable")
    rank = np.full(len(coin.cat.categories) + 1, -1)
    rank[used[order]] = np.arange(len(used))
    codes = rank[coin.cat.codes.to_numpy()]
    dates = frame["date"].to_numpy().view("int64")
    rising = (codes[1:] > codes[:-1]) | ((codes[1:] == codes[:-1]) & (dates[1:] >= dates[:-1]))
    frame = frame.assign(coin=pd.Categorical.from_codes(codes, categories=names[order]))
    if rising.all():
        return frame.reset_index(drop=True)
    return frame.take(np.lexsort((dates, codes))).reset_index(drop=True)


def rows_by_month(frame: pd.DataFrame, months: list[str]) -> tuple[IntArray, IntArray]:
    """Group row numbers by month.

    Args:
        frame: Rows with a `date`.
        months: Sorted months.

    Returns:
        Row numbers in the order of `months`, and the index where each month begins.

    Raises:
        ValueError: A row is dated in another month.
    """
    number = frame["date"].to_numpy().astype("datetime64[M]")
    wanted = np.array(months, dtype="datetime64[M]")
    place = np.searchsorted(wanted, number)
    outside = np.append(wanted, np.datetime64("NaT"))[place] != number
    if outside.any():
        names = ", ".join(np.unique(number[outside]).astype(str))
        raise ValueError(f"rows of {names} in a frame for {', '.join(months) or 'no month'}")
    rows = np.argsort(place.astype(np.int16), kind="stable")
    return rows, np.searchsorted(place[rows], np.arange(len(months) + 1))


def empty_frame(spec: Table) -> pd.DataFrame:
    """Return a frame without rows, with the columns and types of the table."""
    types = {name: str(column.dtype) for name, column in spec.schema.columns.items()}
    return pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in types.items()})


def add_missing_columns(spec: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that the table did not have when an earlier version wrote the month: null, flags false."""
    absent = [name for name in spec.nullable_since_v1 if name not in frame.columns]
    types = {name: str(spec.schema.columns[name].dtype) for name in absent}
    empty = {name: False if kind == "bool" else None for name, kind in types.items()}
    return frame.assign(**{name: pd.Series(empty[name], index=frame.index, dtype=types[name]) for name in absent})
