"""Find contradictions between the columns of a file that determine one another: stated values against derived ones.

Problems of a single column (text, signs, empty cells) and comparisons with earlier files belong elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cryptoliq_assets.ingestion.csv import FileRejectedError
from cryptoliq_assets.schemas import DERIVED_COLUMNS

# A stated value agrees if it is this close to the derived one, relatively or absolutely.
_RELATIVE, _ABSOLUTE = 0.01, 1e-6
# If more than this fraction of the comparable rows is wrong, the column is wrong and not only some cells.
_MAX_FRACTION = 0.5
_ROWS_SHOWN = 3
# A column with more decimals does not count as rounded.
_MAX_DECIMALS = 8
FORMULAS = {
    "liquidity_ratio": "24h_volume / mkt_cap",
    "price_change_24h": "price - price / (1 + 24h / 100)",
}


@dataclass(frozen=True)
class Contradiction:
    """Stated values of one column that the other columns of their rows contradict.

    Attributes:
        rows: Marks them, (rows,) bool.
        counts: Their number by file.
        samples: A sentence for each file that has some.
        rejections: Reason to reject a file in which most rows disagree.
    """

    rows: np.ndarray
    counts: np.ndarray
    samples: dict[int, str]
    rejections: dict[int, str]


def find_contradictions(
    stated: Mapping[str, np.ndarray | None],
    derived: Mapping[str, np.ndarray],
    *,
    numbers: Mapping[str, np.ndarray],
    starts: np.ndarray,
    coins: pa.DictionaryArray,
) -> dict[str, Contradiction]:
    """Compare the stated DERIVED_COLUMNS of several files with what the other columns give.

    Args:
        stated: values by column as received, NaN where empty; None for a column that the files do not have.
        derived: the same columns derived from the others, NaN where unknown.
        numbers: price and 24h (percent) of the rows; others are ignored.
        starts: the rows of file n are those from starts[n] to starts[n + 1].
        coins: names of the rows.

    Returns:
        Contradictions by column; columns in which all values agree are left out.
    """
    contradictions = {}
    for name in DERIVED_COLUMNS:
        values = stated[name]
        if values is None:
            continue
        comparable = ~(np.isnan(values) | np.isnan(derived[name]))
        rows = comparable & ~_agree(values, derived[name])
        if not rows.any():
            continue
        counts = np.add.reduceat(rows, starts[:-1], dtype=np.int64)
        compared = np.add.reduceat(comparable, starts[:-1], dtype=np.int64)
        samples, rejections = {}, {}
        for place in np.flatnonzero(counts).tolist():
            own = slice(int(starts[place]), int(starts[place + 1]))
            parts = _Rows(name, values[own], derived[name][own], {key: numbers[key][own] for key in ("price", "24h")})
            wrong = np.flatnonzero(rows[own] & ~parts.mark_explained())
            if len(wrong) > _MAX_FRACTION * compared[place]:
                shown = parts.describe(wrong, coins[own])
                rejections[place] = (
                    f"{name} is not {FORMULAS[name]} in {len(wrong)} of {compared[place]} rows: "
                    f"{shown}{parts.describe_factor(wrong)}"
                )
            shown = parts.describe(np.flatnonzero(rows[own])[:1], coins[own])
            samples[place] = (
                f"{name} is not {FORMULAS[name]} in {counts[place]} of {compared[place]} rows, such as {shown}; "
                "the stated values were dropped and derived"
            )
        contradictions[name] = Contradiction(rows, counts, samples, rejections)
    return contradictions


def contradiction_errors(contradictions: Mapping[str, Contradiction]) -> dict[int, FileRejectedError]:
    """Return the error of each file in which most rows of a column disagree, for all such columns together.

    Args:
        contradictions: Result of `find_contradictions`.

    Returns:
        Errors by index of the file.
    """
    reasons: dict[int, dict[str, str]] = {}
    for name, contradiction in contradictions.items():
        for place, reason in contradiction.rejections.items():
            reasons.setdefault(place, {})[name] = reason
    return {
        place: FileRejectedError(
            "contradiction",
            f"{'; '.join(by_column.values())}; correct the columns, or leave {' and '.join(by_column)} out: they are derived then",
        )
        for place, by_column in reasons.items()
    }


def _agree(stated: np.ndarray, derived: np.ndarray, margin: np.ndarray | float = 0.0) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.abs(stated - derived) <= np.maximum(_ABSOLUTE, _RELATIVE * np.abs(derived)) + margin


@dataclass(frozen=True)
class _Rows:
    """Rows of one file, to examine a column that disagrees."""

    column: str
    stated: np.ndarray
    derived: np.ndarray
    numbers: Mapping[str, np.ndarray]

    def mark_explained(self) -> np.ndarray:
        """Mark rows that disagree for a harmless reason: rounding, or the other unit of 24h."""
        with np.errstate(all="ignore"):
            margin = np.full(len(self.stated), _rounding(self.stated))
            if self.column == "liquidity_ratio":
                return _agree(self.stated, self.derived, margin)
            price, change = self.numbers["price"], self.numbers["24h"]
            # Error of the price change if 24h was rounded.
            step = _rounding(change) / 100
            margin += np.abs(price) * step / (1 + change / 100) ** 2
            agree = _agree(self.stated, self.derived, margin)
            for percent in (change * 100, change / 100):
                agree |= _agree(self.stated, price - price / (1 + percent / 100))
        return agree

    def describe(self, rows: Sequence[int] | np.ndarray, coins: pa.DictionaryArray) -> str:
        """Return both values of the first of some rows."""
        names = coins.take(pa.array(rows[:_ROWS_SHOWN])).to_pylist()
        return ", ".join(
            f"{coin[:40]!r} states {self.stated[row]:.6g} (derived {self.derived[row]:.6g})"
            for coin, row in zip(names, rows[:_ROWS_SHOWN], strict=True)
        )

    def describe_factor(self, rows: np.ndarray) -> str:
        """Describe the factor by which all of these rows differ, if it is common."""
        with np.errstate(all="ignore"):
            factors = self.stated[rows] / self.derived[rows]
        if not np.isfinite(factors).all():
            return ""
        factor = np.median(factors)
        if (np.abs(factors - factor) > _RELATIVE * abs(factor)).any():
            return ""
        return f" (all by a factor of {factor:.4g})"


def _rounding(values: np.ndarray) -> float:
    """Return half a unit of the last decimal to which all values are rounded; 0 if they are integers, or not rounded."""
    known = values[np.isfinite(values)]
    # Floats of this size have no decimals left.
    known = known[np.abs(known) < 1e6]
    for decimals in range(_MAX_DECIMALS):
        scaled = known * 10.0**decimals
        if (np.abs(scaled - np.round(scaled)) <= 1e-6).all():
            return 0.5 * 10.0**-decimals if decimals else 0.0
    return 0.0
