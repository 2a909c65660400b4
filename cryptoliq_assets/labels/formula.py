"""What a liquidity formula declares, and the checks of its declaration.

Formulas themselves, and everything that several of them use, belong in `liquidity.py`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cryptoliq_assets.core import FloatArray
from cryptoliq_assets.schemas import NUMBER_COLUMNS, RANGE_COLUMNS

# Computed for every score, so that a formula can use them.
VOLUME_LOG, VOLATILITY = "volume_log", "volatility"
# Columns a formula may read: the numeric ones of `cleaned_snapshots`, and the two above.
FORMULA_COLUMNS = (*NUMBER_COLUMNS, *RANGE_COLUMNS, VOLUME_LOG, VOLATILITY)
# Columns required for every score, whatever its formula.
_SCORE_COLUMNS = ("24h_volume", "24h", "7d")

# A row that every formula is evaluated on when it is declared; units as in `cleaned_snapshots`.
_SAMPLE_ROW = {
    "price": 2.0,
    "1h": 0.5,
    "24h": -3.0,
    "7d": 5.0,
    "24h_volume": 1e6,
    "mkt_cap": 1e8,
    "liquidity_ratio": 0.01,
    "price_change_24h": -0.06,
    "high_24h": 2.1,
    "low_24h": 1.9,
    VOLUME_LOG: 13.8,
    VOLATILITY: 0.03,
}

Columns = Mapping[str, FloatArray]


@dataclass(frozen=True)
class Formula:
    """A liquidity measure L of a row, and the constants that put ln L on a common scale: (ln L - lo) / (hi - lo).

    Args:
        name: Value of `CRYPTOLIQ_FORMULA` that selects the formula.
        description: The formula in one line.
        source: Publication, with its DOI.
        lo: ln L that scores 0.
        hi: ln L that scores 1.
        columns: Names of `FORMULA_COLUMNS` that the formula reads; percent, USD, NaN where missing.
        log_liquidity: Returns ln L (n,) of the declared columns, each (n,) float64; NaN where it is unknown.

    Raises:
        ValueError: The declaration is incomplete or contradicts itself; the message contains what to write.
    """

    name: str
    description: str
    source: str
    lo: float
    hi: float
    columns: tuple[str, ...]
    log_liquidity: Callable[[Columns], FloatArray]

    def __post_init__(self) -> None:
        """Reject declarations that would fail, or score nothing, in a run."""
        if missing := [name for name in ("name", "description", "source") if not getattr(self, name).strip()]:
            raise self._error(f"has no {' and no '.join(missing)}", f'{missing[0]}="…"')
        if not (math.isfinite(self.lo) and math.isfinite(self.hi) and self.lo < self.hi):
            raise self._error(f"has lo {self.lo:g} and hi {self.hi:g}", "lo=… below hi=…, the ln L that score 0 and 1")
        unknown = [name for name in self.columns if name not in FORMULA_COLUMNS]
        if unknown:
            raise self._error(
                f"declares the unknown column(s) {', '.join(unknown)}", f"columns=(…) of: {', '.join(FORMULA_COLUMNS)}"
            )
        self._evaluate_sample()

    def _error(self, problem: str, expected: str) -> ValueError:
        return ValueError(
            f"formula {self.name!r} {problem}; in its entry of FORMULAS in cryptoliq_assets/labels/liquidity.py use {expected}"
        )

    def _evaluate_sample(self) -> None:
        """Evaluate a row with the declared columns and one in which they are missing."""
        rows = {name: np.array([_SAMPLE_ROW.get(name, 1.0), np.nan]) for name in self.columns}
        try:
            with np.errstate(all="ignore"):
                value = self.log_liquidity(rows)
        except KeyError as error:
            declared = "".join(f'"{name}", ' for name in (*self.columns, *error.args))
            raise self._error(f"reads {error}, which it does not declare", f"columns=({declared})") from error
        except Exception as error:
            raise self._error(
                f"fails on a row: {type(error).__name__}: {error}", "a function of named (n,) float64 arrays"
            ) from error
        if not isinstance(value, np.ndarray) or value.shape != (2,) or value.dtype.kind != "f":
            raise self._error(
                f"returns {type(value).__name__} of shape {np.shape(value)} for two rows",
                "a function that returns ln L as a (n,) float64 array",
            )

    @property
    def row_columns(self) -> tuple[str, ...]:
        """Columns of a cleaned row that a score by this formula needs."""
        declared = (name for name in self.columns if name not in (VOLUME_LOG, VOLATILITY))
        return tuple(dict.fromkeys((*_SCORE_COLUMNS, *declared)))


def register_formulas(formulas: Iterable[Formula]) -> dict[str, Formula]:
    """Index formulas by name.

    Raises:
        ValueError: Two formulas have one name.
    """
    registry: dict[str, Formula] = {}
    for formula in formulas:
        if formula.name in registry:
            raise ValueError(
                f"two formulas are named {formula.name!r}; rename one entry of FORMULAS in cryptoliq_assets/labels/liquidity.py"
            )
        registry[formula.name] = formula
    return registry
