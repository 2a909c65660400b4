"""Unit of 1h, 24h and 7d, inferred from one file alone, so that the order of arrival cannot matter.

Evidence, strongest first:

- The unit that the file declares in its column `change_unit`. Only a proof of the opposite contradicts it.
- `price_change_24h`, if the file contains it: price - price / (1 + change) holds for one unit only.
- Values below -1: nothing can fall by more than 100 %, so they prove percent. Files of fractions contain a few as errors
  (a negative price, and the row after it), never in the fraction in which every real day of percents has them.
- The typical size of the values.

Add a rule about combining evidence here; the evidence itself belongs in `unit_evidence`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from cryptoliq_assets.ingestion.csv import Document, FileRejectedError, ValidatedRows, find_record_bounds, quote_cell
from cryptoliq_assets.ingestion.parsing.unit_evidence import (
    CONFLICT_LOG_ODDS,
    UNITS,
    Unit,
    UnitEvidence,
    compare_price_changes,
    estimate_peg_fraction,
    weigh_sizes,
)
from cryptoliq_assets.schemas import UNIT_COLUMN

# Log odds from which a unit is certain (400 to 1), and from which a contradicting column leaves doubt (20 to 1).
_CERTAIN_LOG_ODDS = 6.0
_DOUBT_LOG_ODDS = 3.0
# Percent is the unit of the contract: fraction needs odds of e to 1.
_CONTRACT_LOG_ODDS = 1.0

# Names of evidence that does not come from a column of changes.
_DECLARED, _PRICE_CHANGE = "change_unit", "price_change_24h"


class UnitConflictError(ValueError):
    """Columns of one file have confidently different units; the message states which, and why."""


@dataclass(frozen=True)
class UnitFinding:
    """The unit of the changes of a file.

    Attributes:
        unit: The unit.
        found_by: The evidence.
        certain: Whether the evidence leaves no doubt.
    """

    unit: Unit
    found_by: str
    certain: bool


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
    """Infer the unit of the change columns of each file.

    Rows with a negative price are ignored. Columns without evidence follow the others; without any evidence the unit is
    percent, uncertain.

    Args:
        changes: Columns "1h", "24h" and "7d" as received, each of shape (rows,), NaN if empty.
        price: Prices in USD, shape (rows,).
        file_of: Index of the file of each row, shape (rows,).
        files: Number of files.
        price_change: The files' own column price_change_24h in USD.
        override: The setting: "auto", or the unit to use without inference.
        declared: The unit that each file declares; it takes precedence over the setting, which is for all files.

    Returns:
        One finding per file; the error, not raised, for a file whose columns disagree.

    Raises:
        ValueError: If the override is unknown.

    Example:
        >>> changes = {"1h": np.array([0.1]), "24h": np.array([-12.5]), "7d": np.array([3.0])}
        >>> infer_units(changes, np.array([40_000.0]), file_of=np.array([0]), files=1)
        [UnitFinding(unit='percent', found_by='1 of 1 values of 24h are below -1', certain=True)]
    """
    if override != "auto":
        unit = _check_unit(override)
        if declared is None:
            return [UnitFinding(unit, f"the setting ingestion.change_unit is {override}", True)] * files
    valid = ~(price < 0)
    if not valid.all():
        changes = {name: values[valid] for name, values in changes.items()}
        price, file_of = price[valid], file_of[valid]
        price_change = None if price_change is None else price_change[valid]
    peg_fraction = estimate_peg_fraction(price)
    evidence: dict[str, Sequence[UnitEvidence]] = {
        name: weigh_sizes(name, values, peg_fraction, file_of=file_of, files=files) for name, values in changes.items()
    }
    if declared is not None:
        evidence[_DECLARED] = [UnitEvidence(0.0, declared, f"the file's column change_unit is {declared}")] * files
    if price_change is not None:
        evidence[_PRICE_CHANGE] = compare_price_changes(
            changes["24h"], price, price_change, file_of=file_of, files=files
        )
    return [
        _combine_evidence(dict(zip(evidence, columns, strict=True))) for columns in zip(*evidence.values(), strict=True)
    ]


def _combine_evidence(evidence: Mapping[str, UnitEvidence]) -> UnitFinding | UnitConflictError:
    """Combine the evidence of the columns of one file."""
    conflict = _find_conflict(evidence)
    if conflict:
        return conflict
    log_odds = sum(column.log_odds for column in evidence.values())
    proofs = [(column.proof, column.reason) for column in evidence.values() if column.proof]
    unit: Unit = "percent"
    if proofs:
        unit, found_by, certain = proofs[0][0], "; ".join(reason for _, reason in proofs), True
    elif log_odds == 0:
        found_by, certain = "no value in the file shows the unit; percent is the unit of the contract", False
    else:
        unit = "percent" if log_odds > -_CONTRACT_LOG_ODDS else "fraction"
        sized = ", ".join(name for name, column in evidence.items() if column.log_odds)
        found_by = f"typical size of {sized} (log odds for percent {log_odds:+.1f})"
        certain = abs(log_odds) >= _CERTAIN_LOG_ODDS
    if _DECLARED in evidence and len(proofs) > 1:
        # Declared, and proven by arithmetic as well: sizes are ignored.
        return UnitFinding(unit, found_by, True)
    sign = 1 if unit == "percent" else -1
    # Calm days look like fractions: doubting a declared unit takes more than a calm day.
    doubt = CONFLICT_LOG_ODDS if _DECLARED in evidence else _DOUBT_LOG_ODDS
    doubted = any(sign * column.log_odds <= -doubt for column in evidence.values() if not column.proof)
    return UnitFinding(unit, found_by, certain and not doubted)


def _check_unit(name: str) -> Unit:
    for unit in UNITS:
        if name == unit:
            return unit
    raise ValueError(f"change_unit is {name!r}; expected auto, percent or fraction")


def _find_conflict(evidence: Mapping[str, UnitEvidence]) -> UnitConflictError | None:
    """Return the error if proofs contradict each other, or else the sizes of columns without an opposite proof.

    Sizes never outrank a proof: in a calm market the values are small in either unit.
    """
    proofs = {name: (column.proof, column.reason) for name, column in evidence.items() if column.proof}
    units = proofs
    if len({unit for unit, _ in proofs.values()}) < 2 and _DECLARED not in evidence:
        units = {
            name: (column.sized_unit, f"typical size of {name}")
            for name, column in evidence.items()
            if column.sized_unit and _find_proof(name, evidence) in (None, column.sized_unit)
        }
    if len({unit for unit, _ in units.values()}) < 2:
        return None
    details = "; ".join(f"{name} is {unit} ({reason})" for name, (unit, reason) in units.items())
    return UnitConflictError(f"the change columns disagree about their unit: {details}")


def _find_proof(name: str, evidence: Mapping[str, UnitEvidence]) -> Unit | None:
    """Return the unit that is proven for one column of changes."""
    price_change = evidence.get(_PRICE_CHANGE) if name == "24h" else None
    return evidence[name].proof or (price_change.proof if price_change else None)


def read_declared_unit(validated: ValidatedRows, document: Document) -> Unit | None:
    """Read the unit that a file declares in its column change_unit. All parseable rows are used, including rejected ones.

    Args:
        validated: The validated rows of the document.
        document: The document that they were read from.

    Returns:
        The unit; None if the file has no such column, or only empty cells in it.

    Raises:
        FileRejectedError: With code "bad_change_unit", if a row has another unit than the first one, or none.
    """
    cells = validated.cells.text.get(UNIT_COLUMN)
    if cells is None:
        return None
    words = pc.unique(cells).to_pylist()
    if words in ([], [""]):
        return None
    unknown = next((word for word in words if word not in UNITS), None)
    if unknown is None and len(words) == 1:
        return _check_unit(words[0])
    # Of two units that are both valid, report the one that occurs later.
    wrong = words[1] if unknown is None else unknown
    row = pc.index(cells, wrong).as_py()
    lines = find_record_bounds(document.body).lines
    line = int(lines[validated.cells.layout.positions[row]]) + document.header_lines
    before = f"; the rows before it have {quote_cell(words[0])}" if words[0] != wrong else ""
    raise FileRejectedError(
        "bad_change_unit",
        f"line {line}: {UNIT_COLUMN} is {quote_cell(wrong)}; expected {' or '.join(UNITS)}, "
        f"the same in every row of the file{before}",
    )
