"""Compare the columns of a file that determine one another: stated values against those derived from other columns.

What one column says about itself (text, signs, empty cells) belongs elsewhere; so does the comparison with earlier files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cryptoliq_assets.ingestion.csv import FileRejectedError
from cryptoliq_assets.schemas import DERIVED_COLUMNS

# A stated value agrees if it is this close to the derived one, relatively or absolutely.
_RELATIVE, _ABSOLUTE = 0.01, 1e-6
# More than this share of the comparable rows makes the column, not some of its cells, wrong.
_MOST = 0.5
_ROWS_SHOWN = 3
# Decimals up to which a column counts as rounded.
_MOST_DECIMALS = 8
FORMULAS = {
    "liquidity_ratio": "24h_volume / mkt_cap",
    "price_change_24h": "price - price / (1 + 24h / 100)",
}


@dataclass(frozen=True)
class Contradiction:
    """Stated values of one column that the other columns of their rows contradict.

    `rows` marks them, of shape (rows,); `counts` are theirs by file. `samples` has a sentence for each file
    that has some; `condemned` has the reason to reject the file, where most rows disagree.
    """

    rows: np.ndarray
    counts: np.ndarray
    samples: dict[int, str]
    condemned: dict[int, str]


def find_contradictions(
    stated: Mapping[str, np.ndarray | None],
    derived: Mapping[str, np.ndarray],
    *,
    numbers: Mapping[str, np.ndarray | None],
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
        What was found, by column; columns in which all values agree are left out.
    """
    found = {}
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
        samples, condemned = {}, {}
        for place in np.flatnonzero(counts).tolist():
            own = slice(int(starts[place]), int(starts[place + 1]))
            parts = _Rows(name, values[own], derived[name][own], {key: numbers[key][own] for key in ("price", "24h")})
            wrong = np.flatnonzero(rows[own] & ~parts.explained())
            if len(wrong) > _MOST * compared[place]:
                shown = parts.describe(wrong, coins[own])
                condemned[place] = (
                    f"{name} is not {FORMULAS[name]} in {len(wrong)} of {compared[place]} rows: "
                    f"{shown}{parts.describe_factor(wrong)}"
                )
            shown = parts.describe(np.flatnonzero(rows[own])[:1], coins[own])
            samples[place] = (
                f"{name} is not {FORMULAS[name]} in {counts[place]} of {compared[place]} rows, such as {shown}; "
                "the stated values were dropped and derived"
            )
        found[name] = Contradiction(rows, counts, samples, condemned)
    return found


def contradiction_errors(found: Mapping[str, Contradiction]) -> dict[int, FileRejectedError]:
    """Return the reason to reject each file in which most rows of a column disagree, all such columns together."""
    reasons: dict[int, dict[str, str]] = {}
    for name, contradiction in found.items():
        for place, reason in contradiction.condemned.items():
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
    """The rows of one file, for the closer look at a column that disagrees."""

    column: str
    stated: np.ndarray
    derived: np.ndarray
    numbers: Mapping[str, np.ndarray]

    def explained(self) -> np.ndarray:
        """Mark rows that do not agree but do not condemn the column either: rounded, or of the other unit of 24h."""
        with np.errstate(all="ignore"):
            margin = np.full(len(self.stated), _rounding(self.stated))
            if self.column == "liquidity_ratio":
                return _agree(self.stated, self.derived, margin)
            price, change = self.numbers["price"], self.numbers["24h"]
            # How far the change of the price moves if 24h was rounded.
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
        """Return words for the factor by which all of these rows are off, if there is one."""
        with np.errstate(all="ignore"):
            factors = self.stated[rows] / self.derived[rows]
        if not np.isfinite(factors).all():
            return ""
        factor = np.median(factors)
        if (np.abs(factors - factor) > _RELATIVE * abs(factor)).any():
            return ""
        return f" (all by a factor of {factor:.4g})"


def _rounding(values: np.ndarray) -> float:
    """Return half a unit of the last decimal to which all values are rounded; 0 if they are whole, or not rounded."""
    known = values[np.isfinite(values)]
    # Floats of this size have no decimals left.
    known = known[np.abs(known) < 1e6]
    for decimals in range(_MOST_DECIMALS):
        scaled = known * 10.0**decimals
        if (np.abs(scaled - np.round(scaled)) <= 1e-6).all():
            return 0.5 * 10.0**-decimals if decimals else 0.0
    return 0.0
