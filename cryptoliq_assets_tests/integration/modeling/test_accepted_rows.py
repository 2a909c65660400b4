"""Every accepted row passes through the pipeline: each derived number is finite or missing."""

import datetime as dt
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.cleaning.imputation import clean_snapshots
from cryptoliq_assets.features import INPUT_COLUMNS, day_numbers, engineer_features
from cryptoliq_assets.features.online import StoredHistory, online_features
from cryptoliq_assets.ingestion.parsing import parse_snapshot
from cryptoliq_assets.labels.liquidity import FORMULAS
from cryptoliq_assets.labels.targets import label_targets
from cryptoliq_assets.modeling.datasets.training_set import build_training_set, feature_matrix
from cryptoliq_assets.modeling.estimators import CANDIDATES, ScoreForecaster, fit_spec, predict_rows
from cryptoliq_assets.modeling.evaluation.conformal import NO_HISTORY_PREFIX, POOLED, SplitConformalIntervals
from cryptoliq_assets.modeling.inference import predict_arrays
from cryptoliq_assets.modeling.registry.model_registry import LoadedModel
from cryptoliq_assets.monitoring.feed.metrics import measure_feed
from cryptoliq_assets.schemas.groups import VIEWS
from cryptoliq_assets.schemas.raw import CHANGE_COLUMNS, NUMBER_COLUMNS, PLAUSIBLE_BOUNDS, UNSIGNED_COLUMNS
from cryptoliq_assets.storage import sort_rows

COINS, DAYS = 12, 4
FIRST = dt.date(2025, 3, 1)
TABLE = SplitConformalIntervals(
    0.9, {POOLED: 0.1, NO_HISTORY_PREFIX + POOLED: 0.2}, {POOLED: 1000, NO_HISTORY_PREFIX + POOLED: 1000}
)


def number_or_edge(column: str) -> st.SearchStrategy[float]:
    """Return numbers of every magnitude in a cell, including those at and beyond the bounds."""
    bounds = PLAUSIBLE_BOUNDS[column]
    edges = [
        0.0,
        bounds.minimum,
        bounds.maximum,
        bounds.maximum * 1.01,
        bounds.minimum / 2,
        5e-324,
        1e-300,
        1e308,
        np.nan,
    ]
    edges += [1.0, -100.0, -99.99999999999999, -bounds.maximum] if column not in UNSIGNED_COLUMNS else [1.0, -1.0]
    sizes = st.floats(-18.5, 18.5).map(lambda power: 10.0**power)
    return st.sampled_from(edges) | sizes | st.floats(-99.0, 99.0)


def cells() -> st.SearchStrategy[dict[str, list[float]]]:
    """Return values of each column, from which a table is drawn."""
    return st.fixed_dictionaries(
        {column: st.lists(number_or_edge(column), min_size=1, max_size=8) for column in NUMBER_COLUMNS}
    )


def is_accepted(row: dict[str, float]) -> bool:
    return all(
        np.isnan(value) or (PLAUSIBLE_BOUNDS[name].contains(value) and not (value < 0 and name in UNSIGNED_COLUMNS))
        for name, value in row.items()
    )


@pytest.fixture(scope="module")
def learners(rows) -> list[ScoreForecaster]:
    train = np.arange(0, len(rows), 3)
    return [fit_spec(spec, rows, train=train, threads=1) for spec in CANDIDATES.values()]


def all_finite_or_null(frame: pd.DataFrame) -> None:
    numbers = frame.select_dtypes("number")
    infinite = numbers.columns[np.isinf(numbers.to_numpy(dtype=float)).any(axis=0)]
    assert not len(infinite), list(infinite)


@settings(max_examples=15)
@given(cells=cells(), seed=st.integers(0, 2**16), formula=st.sampled_from(sorted(FORMULAS)), percent=st.booleans())
def test_any_accepted_row_has_a_finite_forecast(learners, cells, seed, formula, percent):
    random = np.random.default_rng(seed)
    table = [{name: float(random.choice(cells[name])) for name in NUMBER_COLUMNS} for _ in range(COINS * DAYS)]
    keys = [(f"coin {place % COINS}", FIRST + dt.timedelta(days=place // COINS)) for place in range(COINS * DAYS)]
    accepted = [is_accepted(row) for row in table]
    with warnings.catch_warnings(), np.errstate(over="warn", divide="warn", invalid="warn"):
        warnings.simplefilter("error", RuntimeWarning)
        for day in sorted({day for _, day in keys}):
            lines = ["coin,symbol,date," + ",".join(NUMBER_COLUMNS)]
            lines += [
                f"{coin},C,{date},{','.join('' if np.isnan(value) else repr(value) for value in row.values())}"
                for (coin, date), row in zip(keys, table, strict=True)
                if date == day
            ]
            parsed = parse_snapshot(
                "\n".join([*lines, ""]).encode(),
                name=f"coingecko_{day:%Y%m%d}.csv",
                today=dt.date(2026, 1, 1),
                first_date=FIRST,
                change_unit="percent" if percent else "fraction",
                max_rejected_fraction=1.0,
            )
            rejected = {
                coin
                for coin, date, is_valid in zip(*zip(*keys, strict=True), accepted, strict=True)
                if date == day and not is_valid
            }
            result = {row["text"].split(",")[0] for row in parsed.rejected_rows.to_pylist()}
            assert rejected <= result or parsed.rows is None
        accepted = pd.DataFrame(
            [
                {"coin": coin, "symbol": "C", "date": pd.Timestamp(date), **row}
                for (coin, date), row, is_valid in zip(keys, table, accepted, strict=True)
                if is_valid
            ],
            columns=["coin", "symbol", "date", *NUMBER_COLUMNS],
        )
        if accepted.empty:
            return
        accepted[list(CHANGE_COLUMNS)] *= 1.0 if percent else 100.0
        raw = sort_rows(accepted.astype({"coin": "category", "symbol": "category", "date": "datetime64[ns]"}))
        all_finite_or_null(measure_feed(raw))
        since, until = raw["date"].min(), raw["date"].max()
        cleaned, _ = clean_snapshots(raw, since=since, until=until)
        all_finite_or_null(cleaned)
        if cleaned.empty:
            return
        features = engineer_features(cleaned, formula=formula)
        all_finite_or_null(features)
        labels = label_targets(features, horizon_days=1, since=since, until=until)
        all_finite_or_null(labels)
        # Estimators use 32-bit floats.
        assert not np.isinf(feature_matrix(features)).any()
        for learner in learners:
            assert np.isfinite(learner.predict(feature_matrix(features, learner.features))).all()
        if labels["trainable"].any():
            rows = build_training_set(features, labels, cleaned=cleaned, formula=formula)
            for view in VIEWS:
                assert not np.isinf(rows.view(view)).any()
                assert np.isfinite(predict_rows(learners[0], rows, view=view)).all()
            assert np.isfinite(fit_spec(CANDIDATES["linear_regression"], rows).predict(rows.X[:, _own(rows)])).all()
        history = StoredHistory.from_rows(cleaned[cleaned["date"] < until].reset_index(drop=True), formula=formula)
        requested = cleaned[cleaned["date"] == until]
        online = online_features(
            requested["coin"].astype(str).tolist(),
            day_numbers(requested["date"]),
            {name: requested[name].to_numpy(dtype=float) for name in INPUT_COLUMNS},
            history=history,
        )
        loaded = LoadedModel(learners[2], {})
        for history_known in (True, False):
            predicted, lower, upper, _ = predict_arrays(loaded, online.columns, table=TABLE, history=history_known)
            assert np.isfinite(np.stack([predicted, lower, upper])).all()


def _own(rows) -> list[int]:
    return [rows.features.index(name) for name in CANDIDATES["linear_regression"].features]
