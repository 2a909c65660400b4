"""Asset checks of daily fractions: filled rows and outliers of the cleaned table, valid rows of the labels."""

from pathlib import Path

import numpy as np
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.features import engineer_features
from cryptoliq_assets.labels.targets import label_targets
from cryptoliq_assets.orchestration.checks.cleaned import filled_share, outlier_share
from cryptoliq_assets.orchestration.checks.labels import sound_share
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import cleaned_rows, day
from cryptoliq_assets_tests.support.settings import make_settings

MARCH = ["2025-03"]


def home(folder: Path, **values: float | bool) -> tuple[Settings, TableStore]:
    """Store 20 coins on 6 days of March, half of them with the given values on the last day."""
    rows = [
        {"coin": f"C{coin:02}", "day": number, **(values if number == 6 and coin % 2 else {})}
        for coin in range(20)
        for number in range(1, 7)
    ]
    settings, cleaned = make_settings(home_dir=folder), cleaned_rows(rows)
    store = TableStore(settings)
    store.write("cleaned_snapshots", cleaned, MARCH)
    features = engineer_features(cleaned)
    store.write("labels", label_targets(features, horizon_days=1, since=day(1), until=day(31)), MARCH)
    return settings, store


def passed(settings: Settings, store: TableStore) -> dict[str, bool]:
    checks = {"filled": filled_share, "outlier": outlier_share, "sound": sound_share}
    return {name: check(settings, store, MARCH).passed for name, check in checks.items()}


def test_usual_days_pass_every_check(tmp_path):
    assert passed(*home(tmp_path)) == {"filled": True, "outlier": True, "sound": True}


@pytest.mark.parametrize(
    ("values", "failed"),
    [
        ({"filled_forward": True}, {"filled", "sound"}),
        ({"filled_backward": True}, {"filled", "sound"}),
        ({"filled_forward": True, "outlier": True}, {"outlier", "sound"}),
        ({"7d": np.nan}, {"sound"}),
    ],
)
def test_a_day_with_many_flagged_rows_fails_its_check(tmp_path, values, failed):
    results = passed(*home(tmp_path, **values))
    assert {name for name, ok in results.items() if not ok} == failed


def test_a_check_names_the_day_and_both_fractions(tmp_path):
    finding = filled_share(*home(tmp_path, filled_forward=True), MARCH)
    assert finding.metadata["days"] == {"2025-03-06": "50.0%, usually 0.0%"}


def test_an_empty_table_passes(tmp_path):
    settings = make_settings(home_dir=tmp_path)
    assert passed(settings, TableStore(settings)) == {"filled": True, "outlier": True, "sound": True}
