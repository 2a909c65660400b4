"""Rows sent as JSON and as CSV get the same predictions and the same rejections."""

import csv
import datetime as dt
import io
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st
from pydantic import ValidationError

from cryptoliq_assets.serving.csv.predict import predict_content
from cryptoliq_assets.serving.predictor import DateRejectedError, Predictor
from cryptoliq_assets.serving.request_models import parse_request

NOW = dt.datetime(2025, 8, 2, 9, tzinfo=dt.UTC)
COINS = [None, "Bitcoin", " Bitcoin ", "x" * 201, "Nobody knows it", "Élan ₿"]
# July is loaded in memory, and its oldest day is the first for JSON requests; only CSV accepts older days.
DATES = [None, "2025-07-20", "2025-07-31", "2025-08-01", "2025-08-03", "2025-08-04", "2990-01-01"]
CHANGES = st.sampled_from([None, 0.0, 0.3, -7.5, 212.0, -100.0, -100.5, -250.0, 2e300])
SIZES = st.sampled_from([None, 0.0, 1e-9, 1.5, 61250.5, 2.48e10, -1.0, 2e300])
ROWS = st.lists(
    st.fixed_dictionaries(
        {"price": SIZES, "24h_volume": SIZES},
        optional={
            "1h": CHANGES,
            "24h": CHANGES,
            "7d": CHANGES,
            "mkt_cap": SIZES,
            "coin": st.sampled_from(COINS),
            "date": st.sampled_from(DATES),
        },
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def predictor(settings) -> Predictor:
    predictor = Predictor(settings)
    predictor.refresh()
    return predictor


def by_json(predictor: Predictor, row: dict[str, Any]) -> dict[str, Any] | None:
    """Return the response to one request; None if it is rejected."""
    body = {name: value for name, value in row.items() if value is not None}
    try:
        [answer] = predictor.predict([parse_request(body)], now=NOW)
    except (ValidationError, DateRejectedError):
        return None
    return answer


def by_csv(predictor: Predictor, rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _, chunks = predict_content(
        text.getvalue().encode(),
        champion=predictor.snapshot.champion,
        settings=predictor.settings.with_values(ingestion={"change_unit": "percent"}),
        today=NOW.date(),
        history=predictor.snapshot.history_from,
    )
    return list(csv.DictReader(io.StringIO(b"".join(chunks).decode())))


@given(rows=ROWS)
@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_json_and_csv_give_equal_results_and_rejections(predictor, rows):
    csv_rows = by_csv(predictor, rows)
    for row, result in zip(rows, csv_rows, strict=True):
        answer = by_json(predictor, row)
        assert (answer is None) == bool(result["reason"]), (row, result)
        if answer is not None:
            csv_values = {name: float(result[name]) for name in ("liquidity_score", "lower", "upper")}
            assert csv_values == pytest.approx({name: answer[name] for name in csv_values}, rel=1e-12), row
            assert result["basis"] == answer["basis"], row


def test_only_csv_accepts_dates_before_the_loaded_history(predictor):
    row = {"price": 1.5, "24h_volume": 1e5, "coin": "Bitcoin", "date": "2025-06-01"}
    [result] = by_csv(predictor, [row])
    assert (result["basis"], result["reason"]) == ("history", "")
    request = parse_request(row)
    with pytest.raises(
        DateRejectedError, match=r"2025-06-01; expected a date from 2025-06-30 on.*: send CSV for older ones"
    ):
        predictor.predict([request], now=NOW)
