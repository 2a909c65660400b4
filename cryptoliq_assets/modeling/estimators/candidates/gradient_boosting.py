"""XGBoost: gradient-boosted trees."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators.base import HAR_INPUTS, ScoreForecaster
from cryptoliq_assets.modeling.estimators.boosting import open_table, require_device, train_on_cluster
from cryptoliq_assets.modeling.estimators.fit_rows import PartRows
from cryptoliq_assets.modeling.estimators.regressor import Regressor
from cryptoliq_assets.modeling.estimators.specs import ModelSpec
from cryptoliq_assets.modeling.estimators.validation import (
    InvalidForecasterError,
    check_attributes,
    check_floats,
    check_trees,
)

if TYPE_CHECKING:
    from cryptoliq_assets.modeling.estimators.tree_predict_blocks import BlockwiseTreeEnsemble
    from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble

# Boosted trees on small tables; chosen on panels of 15 to 300 coins, simulated and cut from 2021 (docs/modelling.md).
ROWS_PER_LEAF = 5
ROWS_PER_DEEPEST_LEAF = 500
MIN_ROUNDS = 20
DEFAULT_ROUNDS = 300

# HAR's inputs, whose linear effect is fitted first on small tables; the 7-day mean is used relative to the market.
LINEAR_COLUMNS = (*HAR_INPUTS, "liquidity_score_relative_mean_7d")


def limit_params_by_sample_size(params: Mapping[str, Any], rows: int) -> tuple[dict[str, Any], bool]:
    """Reduce tree parameters, which are meant for large tables, for a small one.

    A leaf of a tree is a number to estimate, and there are rounds · 2^depth of them: with fewer than ROWS_PER_LEAF rows
    for each, the trees learn noise. A small table gets the depth at which leaves of ROWS_PER_DEEPEST_LEAF rows are
    possible, and as many rounds as its rows allow.

    Args:
        params: Parameters of `BoostedTreesRegressor`.
        rows: Number of training rows.

    Returns:
        The parameters, and whether they were reduced.

    Example:
        >>> limit_params_by_sample_size({"rounds": 250, "max_depth": 7}, 4_000)
        ({'rounds': 100, 'max_depth': 3}, True)
    """
    rounds, depth = params.get("rounds", DEFAULT_ROUNDS), params.get("max_depth", 6)
    if rows >= ROWS_PER_LEAF * rounds * 2**depth:
        return dict(params), False
    depth = min(depth, max(2, round(np.log2(max(rows, 1) / ROWS_PER_DEEPEST_LEAF))))
    rounds = min(rounds, max(MIN_ROUNDS, rows // (ROWS_PER_LEAF * 2**depth)))
    return {**params, "rounds": rounds, "max_depth": depth}, True


def _check_booster(state: Mapping[str, Any]) -> None:
    """Check that the state of xgboost's Booster has serialized trees: it passes the pointer on without a check."""
    if type(state.get("handle")) is not bytearray or not state["handle"]:
        raise InvalidForecasterError("a booster has no serialized trees")


class BoostedTreesRegressor(Regressor):
    """xgboost's trees on histograms.

    min_child_weight is meant for large tables and limited to 1 row in ROWS_PER_CHILD_WEIGHT. On a small table
    (`limit_params_by_sample_size`) the trees learn the residuals of a linear fit on a few columns: a few shallow trees
    approximate a line badly, the more so where only persistence is predictable.

    Args:
        columns: See `Regressor`.
        line: Positions in `columns` of the columns of the linear fit.
        **settings: See `Regressor`.
    """

    CACHES = ("_flat", "_swept")
    # Lower limit, and rows per unit, of min_child_weight.
    ROWS_PER_CHILD_WEIGHT = 500
    MIN_CHILD_WEIGHT = 5
    # With fewer rows per thread, threads wait for each other longer than they work; far longer on a busy machine.
    ROWS_PER_THREAD = 20_000
    # Up to this many rows, walking each tree is faster than the blockwise prediction. Both return xgboost's numbers.
    MAX_ROWS_BY_WALK = 128

    # xgboost's Booster.
    booster: Any
    # Linear fit: one slope per column, then the constant; None where the trees learn everything.
    slopes: npt.NDArray[np.float64] | None = None
    # Replace missing values in the linear fit.
    means: npt.NDArray[np.float64]
    # Lazy caches of the flattened trees; not pickled. _swept is False where the trees do not fit the blockwise form.
    _flat: "FlatTreeEnsemble | None" = None
    _swept: "BlockwiseTreeEnsemble | bool | None" = None

    def __init__(self, columns: npt.NDArray[np.int64], *, line: Sequence[int] = (), **settings: Any) -> None:
        super().__init__(columns, **settings)
        self.line = list(line)

    def fit(
        self, X: npt.NDArray[np.float32], change: npt.NDArray[np.float32], weights: npt.NDArray[np.floating] | None
    ) -> None:
        """Fit the trees, and the linear part if the parameters ask for one; see `Regressor.fit`."""
        import xgboost

        def make_table(change: npt.NDArray[np.float32], **options: int) -> AbstractContextManager[Any]:
            return nullcontext(xgboost.QuantileDMatrix(X, change, weight=weights, **options))

        self._train(change, weights, linear=lambda: X[:, self.line], make_table=make_table)

    def fit_part(self, part: PartRows) -> None:
        """Fit on the rows of a part, on the workers of a cluster if there are any."""
        if part.cluster is None:
            super().fit_part(part)
        else:
            self._fit_batches(part)

    def _fit_batches(self, part: PartRows) -> None:
        cluster = part.cluster
        self._train(
            part.change,
            part.weights,
            linear=lambda: part.gather(columns=self.line),
            make_table=lambda change, **options: open_table(part, change, **options),
            train_elsewhere=None
            if cluster is None
            else lambda change, params, rounds: train_on_cluster(
                part, change, params=params, rounds=rounds, cluster=cluster
            ),
        )

    def _train(
        self,
        change: npt.NDArray[np.float32],
        weights: npt.NDArray[np.floating] | None,
        *,
        linear: Callable[[], npt.NDArray[np.float32]],
        make_table: Callable[..., AbstractContextManager[Any]],
        train_elsewhere: Callable[[npt.NDArray[np.float32], dict[str, Any], int], Any] | None = None,
    ) -> None:
        """Train on n changes.

        Args:
            change: (n,) changes.
            weights: (n,) weights; None: equal.
            linear: Returns the rows' columns of the linear fit.
            make_table: Returns xgboost's table of the rows.
            train_elsewhere: Returns the booster of given parameters and rounds, trained in another process.
        """
        import xgboost

        n = len(change)
        params, is_small = limit_params_by_sample_size(
            {"objective": "reg:squarederror", "verbosity": 0, **self.params}, n
        )
        rounds = params.pop("rounds", DEFAULT_ROUNDS)
        if is_small:
            change = (change - self._fit_linear(linear(), change, weights)).astype(np.float32)
        child_weight = max(self.MIN_CHILD_WEIGHT, n / self.ROWS_PER_CHILD_WEIGHT)
        params["min_child_weight"] = min(params.get("min_child_weight", 1), child_weight)
        threads = max(1, min(self.threads, n // self.ROWS_PER_THREAD))
        params |= {"tree_method": "hist", "nthread": threads, "seed": self.seed, "device": self.device}
        if train_elsewhere is not None:
            # Each worker uses its own threads.
            del params["nthread"]
            self.booster = train_elsewhere(change, params, rounds)
        else:
            with make_table(change, max_bin=params.get("max_bin", 256), nthread=threads) as table:
                self.booster = xgboost.train(params, table, rounds)
            del table
        # The artifact must also load on machines without such a device.
        self.booster.set_param({"device": "cpu"})

    def predict(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the predicted change per row: trees plus linear part."""
        trees = self._predict_trees(X)
        return trees if self.slopes is None else trees + self._predict_linear(X[:, self.line], self.slopes)

    def flat_trees(self) -> "FlatTreeEnsemble":
        """Return the booster's trees as flat arrays, computed once."""
        if self._flat is None:
            from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble

            self._flat = FlatTreeEnsemble.from_booster(self.booster)
        return self._flat

    def _fit_linear(
        self,
        columns: npt.NDArray[np.float32],
        change: npt.NDArray[np.float32],
        weights: npt.NDArray[np.floating] | None,
    ) -> npt.NDArray[np.float64]:
        """Weighted least squares of the change on the (n, len(line)) linear columns; returns its predictions."""
        columns = columns.astype(float)
        present = ~np.isnan(columns)
        self.means = np.where(present, columns, 0.0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        design = np.column_stack([np.where(present, columns, self.means), np.ones(len(columns))])
        root = np.ones(len(columns)) if weights is None else np.sqrt(weights)
        self.slopes = np.linalg.lstsq(design * root[:, None], change * root, rcond=None)[0]
        return self._predict_linear(columns, self.slopes)

    def _predict_linear(
        self, columns: npt.NDArray[np.floating], slopes: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        # Column by column: a matrix product adds in another order among other rows, which changes the last bit.
        predicted = np.full(len(columns), slopes[-1])
        for place, (mean, slope) in enumerate(zip(self.means, slopes[:-1], strict=True)):
            values = columns[:, place].astype(float)
            predicted += slope * np.where(np.isnan(values), mean, values)
        return predicted

    def _predict_trees(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        from cryptoliq_assets.modeling.estimators.tree_predict_blocks import BlockwiseTreeEnsemble

        flat = self.flat_trees()
        if len(X) <= self.MAX_ROWS_BY_WALK:
            return flat.predict(X).astype(float)
        if self._swept is None:
            self._swept = BlockwiseTreeEnsemble.from_flat(flat, len(self.columns)) or False
        if not isinstance(self._swept, BlockwiseTreeEnsemble):
            predicted: npt.NDArray[np.float64] = self.booster.inplace_predict(np.ascontiguousarray(X)).astype(float)
            return predicted
        return self._swept.predict(X, threads=self.threads).astype(float)

    def _check_fitted(self, label: str) -> None:
        from xgboost import Booster

        check_attributes(self, ("booster", "line"))
        if type(self.booster) is not Booster:
            raise InvalidForecasterError(f"{label} has no booster")
        width = len(self.columns)
        check_trees(self.flat_trees(), label, columns=width)
        if type(self.line) is not list or not all(type(column) is int and 0 <= column < width for column in self.line):
            raise InvalidForecasterError(f"{label} has a linear fit on columns that do not exist")
        if self.slopes is not None:
            check_attributes(self, ("means",))
            check_floats(self.means, f"means of {label}", size=len(self.line))
            check_floats(self.slopes, f"slopes of {label}", size=len(self.line) + 1)


class XGBoostForecaster(ScoreForecaster):
    """Boosted trees on the change from the coin's 7-day mean.

    Parameters: those of xgboost.train, with `rounds` for the number of trees.
    """

    SPEC = ModelSpec(
        "xgboost",
        "XGBoost",
        {
            "rounds": 250,
            "eta": 0.06,
            "max_depth": 7,
            "max_bin": 64,
            "min_child_weight": 300,
            "colsample_bytree": 0.4,
            "lambda": 5.0,
            "bare": {"rounds": 150, "max_depth": 6, "min_child_weight": 100, "colsample_bytree": 0.7},
        },
        no_history_fraction=1.0,
    )
    REGRESSOR = BoostedTreesRegressor
    LIBRARY = "xgboost"
    # xgboost without the parts for graphics cards.
    LIBRARY_ALIASES = ("xgboost-cpu",)
    PICKLE_GLOBALS = {"xgboost.core": frozenset({"Booster"})}
    STATE_CHECKS = {("xgboost.core", "Booster"): _check_booster}
    STORED_AS = (("cryptoliq_assets.models.learners", "XGBoost"),)
    REGRESSOR_STORED_AS = (("cryptoliq_assets.models.parts", "BoostedPart"),)
    EARLIER_MODEL_NAMES = ("XGBoost",)

    def _make_regressor(self, columns: npt.NDArray[np.int64], params: dict[str, Any]) -> Regressor:
        require_device(self.device)
        line = [position for position, column in enumerate(columns) if self.features[column] in LINEAR_COLUMNS]
        return BoostedTreesRegressor(
            columns, line=line, params=params, seed=self.seed, threads=self.threads, device=self.device
        )
