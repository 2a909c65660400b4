"""The unit of 1h, 24h and 7d, found from one file alone: so that the order of arrival cannot matter.

Four kinds of evidence, strongest first:

- What the file declares, in its column `change_unit`. Only a proof to the contrary is held against it.
- `price_change_24h`, where the file carries it: price - price / (1 + change) holds for one unit only.
- Values below -1: nothing falls by more than all of itself, so they prove percent. Files of fractions hold a few as
  faults (a negative price, and the row after one), never in the share in which every real day of percents has them.
- Typical size. A coin's changes follow Student's t with two degrees of freedom (Student's 5th to 99th percentiles,
  over the median, are 0.09 to 12; 674,000 rows of 2021 gave 0.06 to 13), and pegged coins move ten times less: a
  mixture of the two, in which a price near one dollar makes a peg likely. Each value's log likelihood ratio says how
  much better it fits as a percent than as a fraction.

The unit that a file itself declares for 1h, 24h and 7d, in its column change_unit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow.compute as pc

from cryptoliq_assets.ingestion.csv import Document, FileRejectedError, ValidatedRows, find_record_bounds, quote_cell
from cryptoliq_assets.schemas import UNIT_COLUMN

Unit = Literal["percent", "fraction"]
UNITS: tuple[Unit, ...] = get_args(Unit)

# Median |change| of an ordinary day, as fractions (2021 panel, 2022 files): of coins that move freely, and of pegs.
_FREE_MEDIAN = {"1h": 0.007, "24h": 0.045, "7d": 0.13}
_PEG_MEDIAN = {"1h": 0.001, "24h": 0.0035, "7d": 0.0045}
# Median of the absolute value of Student's t with two degrees of freedom.
_STUDENT_MEDIAN = 0.8165
# A price this near to one dollar belongs to a peg four times in five (2021: 82 %), any other one time in twenty.
_PEG_BAND_USD = 0.02
_PEG_SHARE_IN_BAND, _PEG_SHARE_ELSEWHERE = 0.8, 0.05

# Every real day of percents has at least 1.3 % of its coins below -1; the worst real file of fractions has 0.1 %.
_PROOF_SHARE = 0.005
# Below -100 a value is a fault in either unit, and tells nothing; nor does the rounding error of no change at all.
_IMPOSSIBLE_PERCENT = -100.0
_NO_CHANGE = 1e-9
# Sizes beyond this tell no more than this, and overflow nothing.
_LARGEST_SIZE = 1e9

# Coins move together: more of them than this tell little that is new about the size of the day.
_INDEPENDENT_VALUES = 40
# One value is worth 100 to 1 at most, so that no single fault decides.
_MOST_PER_VALUE = np.log(100.0)
# Log odds from which a verdict counts as certain (400 to 1), from which a column that says otherwise leaves doubt
# (20 to 1), and from which it makes a conflict.
_CERTAIN = 6.0
_DOUBT = 3.0
_CONFLICT = 12.0
# Percent is the contract: it takes odds of e to 1 to say fraction.
_CONTRACT_ODDS = 1.0

# Names of evidence that is about no column of changes of its own.
_DECLARED, _PRICE_CHANGE = "change_unit", "price_change_24h"

# price_change_24h agrees with a unit when it lies within this share of what that unit makes of the price.
_AGREEMENT = 0.1


class UnitConflictError(ValueError):
    """Columns of one file are confidently of different units; the message says which, and why."""


@dataclass(frozen=True)
class UnitFinding:
    """The unit of a file's changes, what showed it, and whether that leaves doubt."""

    unit: Unit
    how: str
    certain: bool


@dataclass(frozen=True)
class UnitEvidence:
    """What one column tells. `odds` is the log of the odds for percent, by size; `proof` a unit that holds whatever they say."""

    odds: float
    proof: Unit | None = None
    why: str = ""

    @property
    def sized_unit(self) -> Unit | None:
        """The unit that the sizes of this column would vouch for, were there nothing else."""
        if abs(self.odds) < _CONFLICT:
            return None
        return "percent" if self.odds > 0 else "fraction"


def infer_units(
    changes: Mapping[str, np.ndarray],
    price: np.ndarray,
    *,
    file_of: np.ndarray,
    files: int,
    price_change: np.ndarray | None = None,
    override: str = "auto",
    declared: Unit | None = None,
) -> list[UnitFinding | UnitConflictError]:
    """The unit of the change columns of each of `files` files; the error, not raised, where columns disagree.

    `changes` maps "1h", "24h" and "7d" to float arrays with NaN where a cell is empty, as read; `price` in USD,
    `price_change` (the files' own price_change_24h, in USD) and `file_of` (the file, from 0, of each row) are of the
    same length. Rows with a negative price are left out. `override` is the setting: "auto", or the unit to take
    without looking. `declared` is the unit that each of the files declares for itself: no setting for all files alike
    outranks it.

    Columns without evidence follow the others; where nothing tells, percent, uncertain.
    Raises ValueError for an unknown override.
    """
    if override != "auto":
        said = UnitFinding(_known_unit(override), f"the setting change_unit says {override}", True)
        if declared is None:
            return [said] * files
    sound = ~(price < 0)
    if not sound.all():
        changes = {name: values[sound] for name, values in changes.items()}
        price, file_of = price[sound], file_of[sound]
        price_change = None if price_change is None else price_change[sound]
    peg_share = np.where(np.abs(price - 1) <= _PEG_BAND_USD, _PEG_SHARE_IN_BAND, _PEG_SHARE_ELSEWHERE)
    evidence = {
        name: _size_evidence(name, values, peg_share, file_of=file_of, files=files) for name, values in changes.items()
    }
    if declared is not None:
        evidence[_DECLARED] = [UnitEvidence(0.0, declared, f"the file's column change_unit says {declared}")] * files
    if price_change is not None:
        evidence[_PRICE_CHANGE] = _price_change_evidence(
            changes["24h"], price, price_change, file_of=file_of, files=files
        )
    return [
        _combine_evidence(dict(zip(evidence, columns, strict=True))) for columns in zip(*evidence.values(), strict=True)
    ]


def _combine_evidence(evidence: Mapping[str, UnitEvidence]) -> UnitFinding | UnitConflictError:
    """What the columns of one file say together."""
    conflict = _conflict(evidence)
    if conflict:
        return conflict
    odds = sum(found.odds for found in evidence.values())
    proven = [found for found in evidence.values() if found.proof]
    if proven:
        unit, how, sure = proven[0].proof, "; ".join(found.why for found in proven), True
    elif odds == 0:
        unit, how, sure = "percent", "no change in the file tells; the contract says percent", False
    else:
        unit = "percent" if odds > -_CONTRACT_ODDS else "fraction"
        sized = ", ".join(name for name, found in evidence.items() if found.odds)
        how, sure = f"typical size of {sized} (log odds for percent {odds:+.1f})", abs(odds) >= _CERTAIN
    if _DECLARED in evidence and len(proven) > 1:
        # Declared, and shown by arithmetic as well: sizes have no say.
        return UnitFinding(unit, how, True)
    sign = 1 if unit == "percent" else -1
    # Calm days look like fractions: of a unit that was declared it takes more than a calm day to doubt.
    doubt = _CONFLICT if _DECLARED in evidence else _DOUBT
    doubted = any(sign * found.odds <= -doubt for found in evidence.values() if not found.proof)
    return UnitFinding(unit, how, sure and not doubted)


def _known_unit(name: str) -> Unit:
    if name not in UNITS:
        raise ValueError(f"change_unit is {name!r}; expected auto, percent or fraction")
    return name


def _size_evidence(
    name: str, values: np.ndarray, peg_share: np.ndarray, *, file_of: np.ndarray, files: int
) -> list[UnitEvidence]:
    """What the values of one column tell, file by file: proof by values below -1, and odds by their size."""
    sizes = np.abs(values)
    # NaN compares false: an empty cell tells nothing.
    telling = (sizes > _NO_CHANGE) & (sizes < np.inf) & (values >= _IMPOSSIBLE_PERCENT)
    file_of = file_of[telling]
    ratios = _log_ratios(
        np.minimum(sizes[telling], _LARGEST_SIZE),
        peg_share[telling],
        free_median=_FREE_MEDIAN[name],
        peg_median=_PEG_MEDIAN[name],
    )
    counts = np.bincount(file_of, minlength=files).tolist()
    below = np.bincount(file_of[values[telling] < -1], minlength=files).tolist()
    # Each sum runs over its file's rows in their order, whatever lies between them.
    totals = np.bincount(file_of, weights=ratios, minlength=files).tolist()
    evidence = []
    for count, fallen, total in zip(counts, below, totals, strict=True):
        proven = fallen > 0 and fallen >= _PROOF_SHARE * count
        why = f"{fallen} of {count} values of {name} are below -1" if proven else f"typical size of {name}"
        odds = total / (1 + count / _INDEPENDENT_VALUES)
        evidence.append(UnitEvidence(odds, "percent" if proven else None, why))
    return evidence


def _log_ratios(sizes: np.ndarray, peg_share: np.ndarray, *, free_median: float, peg_median: float) -> np.ndarray:
    """For each absolute change (above 0) the log of the odds that it is a percent rather than a fraction."""
    scaled = sizes * _STUDENT_MEDIAN
    as_percent, as_fraction = (
        _mixed_density(reading, peg_share, free_median=free_median, peg_median=peg_median)
        for reading in (scaled / 100, scaled)
    )
    return np.clip(np.log(as_percent / as_fraction), -_MOST_PER_VALUE, _MOST_PER_VALUE)


def _mixed_density(scaled: np.ndarray, peg_share: np.ndarray, *, free_median: float, peg_median: float) -> np.ndarray:
    free, peg = _student_density(scaled / free_median), _student_density(scaled / peg_median)
    return free + peg_share * (peg - free)


def _student_density(scaled: np.ndarray) -> np.ndarray:
    """Density of ln|t|, t Student's with two degrees of freedom, but for a constant: t · (2 + t²)^-1.5."""
    spread = 2 + scaled * scaled
    # A root costs a tenth of a power.
    return scaled / (spread * np.sqrt(spread))


def _price_change_evidence(
    change: np.ndarray, price: np.ndarray, price_change: np.ndarray, *, file_of: np.ndarray, files: int
) -> list[UnitEvidence]:
    """Proof by each file's own price_change_24h (USD): which unit of 24h gives price - price / (1 + change)."""
    telling = np.isfinite(change) & np.isfinite(price_change) & (change != 0) & (price_change != 0) & (price > 0)
    change, price, price_change, file_of = (values[telling] for values in (change, price, price_change, file_of))
    with np.errstate(all="ignore"):
        percent, fraction = (
            np.abs(price - price / (1 + change / scale) - price_change) <= _AGREEMENT * np.abs(price_change)
            for scale in (100.0, 1.0)
        )
    rows, of_percent, of_fraction = (
        np.bincount(file_of[which], minlength=files).tolist()
        for which in (slice(None), percent & ~fraction, fraction & ~percent)
    )
    return [_agreement(*counts) for counts in zip(rows, of_percent, of_fraction, strict=True)]


def _agreement(rows: int, percent: int, fraction: int) -> UnitEvidence:
    """What price_change_24h tells that fits 24h as percent alone, or as fraction alone, in so many of its rows."""
    most = max(percent, fraction)
    # A column that fits neither unit in half of its rows is something else than the change of the price.
    if most == 0 or most < 0.5 * rows or min(percent, fraction) > 0.1 * most:
        return UnitEvidence(0.0)
    unit: Unit = "percent" if percent > fraction else "fraction"
    return UnitEvidence(0.0, unit, f"price_change_24h fits 24h as {unit} in {most} of {rows} rows")


def _conflict(evidence: Mapping[str, UnitEvidence]) -> UnitConflictError | None:
    """The error when proofs contradict each other, or else the sizes of columns that nothing proves otherwise.

    Sizes never outrank a proof: a calm market is small in either unit.
    """
    proofs = {name: (found.proof, found.why) for name, found in evidence.items() if found.proof}
    said = proofs
    if len({unit for unit, _ in proofs.values()}) < 2 and _DECLARED not in evidence:
        said = {
            name: (found.sized_unit, f"typical size of {name}")
            for name, found in evidence.items()
            if found.sized_unit and _proof(name, evidence) in (None, found.sized_unit)
        }
    if len({unit for unit, _ in said.values()}) < 2:
        return None
    told = "; ".join(f"{name} is {unit} ({why})" for name, (unit, why) in said.items())
    return UnitConflictError(f"the change columns disagree about their unit: {told}")


def _proof(name: str, evidence: Mapping[str, UnitEvidence]) -> Unit | None:
    """What is proven of one column of changes."""
    besides = evidence.get(_PRICE_CHANGE) if name == "24h" else None
    return evidence[name].proof or (besides.proof if besides else None)


def read_declared_unit(validated: ValidatedRows, document: Document) -> Unit | None:
    """The unit; None where the file has no such column, or no cell of it says anything.

    Every well-formed row has a say, let in or not. Raises FileRejectedError ("bad_change_unit") where one says something
    else than the first, or no unit at all.
    """
    cells = validated.cells.text.get(UNIT_COLUMN)
    if cells is None:
        return None
    words = pc.unique(cells).to_pylist()
    if words in ([], [""]):
        return None
    strange = next((word for word in words if word not in UNITS), None)
    if strange is None and len(words) == 1:
        return words[0]
    # Of two units that are each right, the one that comes later.
    wrong = words[1] if strange is None else strange
    row = pc.index(cells, wrong).as_py()
    lines = find_record_bounds(document.body).lines
    line = int(lines[validated.cells.layout.positions[row]]) + document.header_lines
    said = f"line {line}: {UNIT_COLUMN} is {quote_cell(wrong)}"
    before = f"; the rows before it say {quote_cell(words[0])}" if words[0] != wrong else ""
    raise FileRejectedError(
        "bad_change_unit", f"{said}; expected {' or '.join(UNITS)}, the same in every row of the file{before}"
    )
