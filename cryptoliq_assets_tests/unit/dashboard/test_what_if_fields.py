"""The form of page What if has an input for each field of a prediction request."""

from cryptoliq_assets.dashboard.pages import what_if
from cryptoliq_assets.labels import FORMULAS
from cryptoliq_assets.schemas import RANGE_COLUMNS
from cryptoliq_assets.serving import PredictRequest


def test_the_form_has_every_field_of_a_request():
    fields = {field.alias or name for name, field in PredictRequest.model_fields.items()}
    assert {*what_if._FIELDS, "coin", "date"} == fields
    assert set(RANGE_COLUMNS) <= set(what_if._FIELDS)
    assert what_if._REQUIRED == ("price", "24h_volume") == tuple(what_if._FIELDS)[:2]


def test_the_form_has_every_column_that_a_formula_reads():
    for formula in FORMULAS.values():
        assert set(formula.row_columns) <= set(what_if._FIELDS)


def test_a_field_without_a_text_of_its_own_is_shown(monkeypatch):
    monkeypatch.delitem(what_if._TEXTS, "high_24h")
    label, meaning = what_if._list_fields()["high_24h"]
    assert label == "High 24h"
    assert meaning.startswith("Highest price of the last 24 hours")
