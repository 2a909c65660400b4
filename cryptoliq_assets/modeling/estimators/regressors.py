"""What fits: linear, forest and boosted regressions of a change on shaped features, each under fit and predict.

xgboost and scikit-learn are imported where they are used: importing this module costs nothing.
"""

import os
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble

# Boosted trees on small tables; found on panels of 15 to 300 coins, simulated and cut from 2021 (docs/modelling.md).
ROWS_A_LEAF = 5
ROWS_A_DEEPEST = 500
LEAST_ROUNDS = 20
DEFAULT_ROUNDS = 300


class Regressor:
    """A regression on some columns of the shaped features; `columns` are their places among all."""

    def __init__(
        self, columns: np.ndarray, *, params: Mapping[str, Any], seed: int, threads: int = 1, device: str = "cpu"
    ) -> None:
        self.columns = columns
        self.params = dict(params)
        self.seed = seed
        self.threads = threads
        self.device = device

    def fit(self, X: np.ndarray, change: np.ndarray, weights: np.ndarray | None) -> None:
        """Learn from (n, len(columns)) float32 rows, NaN where missing."""
        raise NotImplementedError

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Expected changes of n rows, finite."""
        raise NotImplementedError

    # The trees laid flat, and made from them at the first use: no part of what is stored.
    _flat: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_flat", "_swept")}


class RidgeRegressor(Regressor):
    """Ridge on winsorised, standardised features; a missing one counts as its mean, and is flagged.

    Winsorised at the training rows' 0.1 and 99.9 %: one listing's first print would else bend the whole plane, and
    a value beyond all that was seen would be extrapolated.
    """

    def fit(self, X: np.ndarray, change: np.ndarray, weights: np.ndarray | None) -> None:
        from sklearn.linear_model import Ridge

        # Quantiles of 100,000 rows are as good here as those of all, for a tenth of the sorting.
        chosen = np.random.default_rng(self.seed).permutation(len(X))[:100_000]
        self.low, self.high = _quantiles(X[np.sort(chosen)])
        known = ~np.isnan(X)
        clipped = np.where(known, np.clip(X, self.low, self.high), np.float32(0))
        count = np.maximum(known.sum(axis=0), 1)
        self.centre = (clipped.sum(axis=0, dtype=float) / count).astype(np.float32)
        deviation = np.where(known, clipped - self.centre, np.float32(0))
        scale = np.sqrt((deviation**2).sum(axis=0, dtype=float) / count)
        self.scale = np.where(scale > 1e-7, scale, 1.0).astype(np.float32)
        missing = 1.0 - known.mean(axis=0)
        self.flagged = np.flatnonzero((missing > 0.001) & (missing < 0.999))
        model = Ridge(alpha=self.params.get("alpha", 1.0), solver="cholesky")
        model.fit(self._design(X), change, sample_weight=weights)
        self.coefficients, self.intercept = model.coef_.astype(np.float32), float(model.intercept_)

    def predict(self, X: np.ndarray) -> np.ndarray:
        # Not a product of matrices: in those the last bit of a row depends on where among the others it stands.
        terms = np.ascontiguousarray(self._design(X) * self.coefficients)
        return terms.sum(axis=1).astype(float) + self.intercept

    def _design(self, X: np.ndarray) -> np.ndarray:
        """(n, columns + flagged) float32: standardised features, then a flag for each that is at times missing."""
        missing = np.isnan(X)
        standard = (np.clip(X, self.low, self.high) - self.centre) / self.scale
        standard[missing] = 0.0
        return np.hstack([standard, missing[:, self.flagged].astype(np.float32)])


class ForestRegressor(Regressor):
    """scikit-learn's forest, each tree on a bounded sample of the rows. Missing values go down the better side."""

    def fit(self, X: np.ndarray, change: np.ndarray, weights: np.ndarray | None) -> None:
        from sklearn.ensemble import RandomForestRegressor

        params = {**self.params, "max_samples": min(self.params.get("max_samples", 50_000), len(X))}
        self.model = RandomForestRegressor(**params, random_state=self.seed, n_jobs=self.threads)
        self.model.fit(X, change, sample_weight=weights)

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.flat_trees().predict(X, threads=self.threads)

    def flat_trees(self) -> "FlatTreeEnsemble":
        """The forest's trees, laid flat once."""
        if self._flat is None:
            from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble

            self._flat = FlatTreeEnsemble.of_forest(self.model)
        return self._flat


def limit_params_by_sample_size(params: Mapping[str, Any], rows: int) -> tuple[dict[str, Any], bool]:
    """What `rows` rows can bear of boosted trees' params, which are for large tables; whether that is less of them.

    A tree's leaf is a number to be learnt, and there are rounds · 2^depth of them: with fewer than ROWS_A_LEAF rows for each
    the noise is learnt instead. A table that small gets the depth at which leaves of ROWS_A_DEEPEST rows are possible, and
    as many rounds as its rows pay for.
    """
    rounds, depth = params.get("rounds", DEFAULT_ROUNDS), params.get("max_depth", 6)
    if rows >= ROWS_A_LEAF * rounds * 2**depth:
        return dict(params), False
    depth = min(depth, max(2, round(np.log2(max(rows, 1) / ROWS_A_DEEPEST))))
    rounds = min(rounds, max(LEAST_ROUNDS, rows // (ROWS_A_LEAF * 2**depth)))
    return {**params, "rounds": rounds, "max_depth": depth}, True


class BoostedTreesRegressor(Regressor):
    """xgboost's trees on histograms. min_child_weight is for large tables: it is held to 1 row in LEAF_SHARE.

    On a small table (`limit_params_by_sample_size`) the trees learn what a line through `line` (places of a few columns) leaves over:
    a few shallow trees draw a line badly, and where nothing can be forecast but that the level stays, all the worse.
    """

    # Of the line: one a column, then the constant; None where the trees learn all. Missing values count as the mean.
    slopes: np.ndarray | None = None

    LEAF_SHARE = 500
    LEAST_LEAF = 5
    # Below this many rows threads wait for each other longer than they work, and far longer on a busy machine.
    ROWS_A_THREAD = 20_000
    # Up to this many rows the walk down each tree takes less time than the sweep over all nodes; both give xgboost's numbers.
    ROWS_TO_WALK = 128

    def __init__(self, columns: np.ndarray, *, line: Sequence[int] = (), **how: Any) -> None:
        super().__init__(columns, **how)
        self.line = list(line)

    def fit(self, X: np.ndarray, change: np.ndarray, weights: np.ndarray | None) -> None:
        xgboost = _xgboost()

        params = {"objective": "reg:squarederror", "verbosity": 0, **self.params}
        params, small = limit_params_by_sample_size(params, len(X))
        rounds = params.pop("rounds", DEFAULT_ROUNDS)
        if small:
            change = (change - self._fit_line(X, change, weights)).astype(np.float32)
        share = max(self.LEAST_LEAF, len(X) / self.LEAF_SHARE)
        params["min_child_weight"] = min(params.get("min_child_weight", 1), share)
        threads = max(1, min(self.threads, len(X) // self.ROWS_A_THREAD))
        params |= {"tree_method": "hist", "nthread": threads, "seed": self.seed, "device": self.device}
        table = xgboost.QuantileDMatrix(X, change, weight=weights, max_bin=params.get("max_bin", 256), nthread=threads)
        self.booster = xgboost.train(params, table, rounds)
        # What is stored must load where there is no such device.
        self.booster.set_param({"device": "cpu"})

    # What sweeps: made at the first use like the other; False where these trees cannot be swept.
    _swept: Any = None

    def predict(self, X: np.ndarray) -> np.ndarray:
        trees = self._trees(X)
        return trees if self.slopes is None else trees + self._predict_linear(X)

    def flat_trees(self) -> "FlatTreeEnsemble":
        """The booster's trees, laid flat once."""
        if self._flat is None:
            from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble

            self._flat = FlatTreeEnsemble.of_booster(self.booster)
        return self._flat

    def _fit_line(self, X: np.ndarray, change: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        """Least squares of the change on the columns of the line; what it says of the rows."""
        columns = X[:, self.line].astype(float)
        known = ~np.isnan(columns)
        self.means = np.where(known, columns, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        design = np.column_stack([np.where(known, columns, self.means), np.ones(len(X))])
        root = np.ones(len(X)) if weights is None else np.sqrt(weights)
        self.slopes = np.linalg.lstsq(design * root[:, None], change * root, rcond=None)[0]
        return self._predict_linear(X)

    def _predict_linear(self, X: np.ndarray) -> np.ndarray:
        # Column by column: a matrix product adds in another order among other rows, and the last bit is another.
        found = np.full(len(X), self.slopes[-1])
        for column, mean, slope in zip(self.line, self.means, self.slopes[:-1], strict=True):
            values = X[:, column].astype(float)
            found += slope * np.where(np.isnan(values), mean, values)
        return found

    def _trees(self, X: np.ndarray) -> np.ndarray:
        from cryptoliq_assets.modeling.estimators.tree_predict_blocks import BlockwiseTreeEnsemble

        flat = self.flat_trees()
        if len(X) <= self.ROWS_TO_WALK:
            return flat.predict(X).astype(float)
        if self._swept is None:
            self._swept = BlockwiseTreeEnsemble.of(flat, len(self.columns)) or False
        if not self._swept:
            return self.booster.inplace_predict(np.ascontiguousarray(X)).astype(float)
        return self._swept.predict(X, threads=self.threads).astype(float)


def require_device(device: str) -> None:
    """Raise ValueError where xgboost cannot compute on `device`: it would else fall back to the CPU in silence."""
    if device == "cpu":
        return
    import json

    xgboost = _xgboost()

    table = xgboost.DMatrix(np.zeros((2, 1), np.float32), label=[0.0, 1.0])
    with xgboost.config_context(verbosity=0):
        booster = xgboost.train({"device": device, "tree_method": "hist"}, table, 1)
    used = json.loads(booster.save_config())["learner"]["generic_param"]["device"]
    if not used.startswith(device.split(":")[0]):
        raise ValueError(
            f"device {device!r} is not here: xgboost {xgboost.__version__} would compute on {used}; "
            "set CRYPTOLIQ_XGBOOST_DEVICE=cpu, or install a driver and an xgboost built for it"
        )


def _quantiles(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """0.1 and 99.9 % of each column, ±infinity where a column has no value."""
    low = np.full(X.shape[1], -np.inf, np.float32)
    high = np.full(X.shape[1], np.inf, np.float32)
    for column in range(X.shape[1]):
        values = X[:, column][~np.isnan(X[:, column])]
        if len(values):
            low[column], high[column] = np.quantile(values, [0.001, 0.999])
    return low, high


def _xgboost() -> ModuleType:
    """xgboost, its threads told to sleep while they wait: spinning, they take the core that the others need, and on a
    busy machine a fit of one minute became one of ten."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import xgboost

    return xgboost
