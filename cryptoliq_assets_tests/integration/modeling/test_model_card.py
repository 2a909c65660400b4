"""Model card: its metrics by hand, a self-contained page, and the card of the current version."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.datasets.training_set import TrainingSet
from cryptoliq_assets.modeling.model_card.facts import CardFacts, calibration, card_facts, longer_windows, model_table
from cryptoliq_assets.modeling.model_card.files import card_path, publish_card, save_card
from cryptoliq_assets.modeling.model_card.html import card_markdown, card_page
from cryptoliq_assets.modeling.registry.candidates import load_candidate
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.modeling.training_data import training_rows
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.settings import make_settings

SECTIONS = [
    "Data",
    "Folds",
    "Against the baselines",
    "Calibration",
    "Coverage of the 90% intervals",
    "Intervals in use",
    "Feature importance",
    "Error by size",
    "Worst coins",
    "Audit log, newest first",
]


@pytest.fixture(scope="module")
def settings(trained_home) -> Settings:
    return make_settings(home_dir=trained_home.path, cv__n_splits=2)


@pytest.fixture(scope="module")
def best(settings):
    board = json.loads((settings.reports_dir / "metrics.json").read_text())
    return load_candidate(settings.models_dir / "candidates", board["best"])


@pytest.fixture(scope="module")
def trained_rows(settings) -> TrainingSet:
    return training_rows(settings, TableStore(settings))[0]


@pytest.fixture(scope="module")
def facts(settings, best, trained_rows) -> CardFacts:
    store = open_model_store(settings)
    board = json.loads((settings.reports_dir / "metrics.json").read_text())
    return card_facts(
        store.current(),
        board,
        evaluation=best.evaluation,
        rows=trained_rows,
        ledger=store.ledger.entries(),
    )


class _Page(HTMLParser):
    """Headings, tags, and values of attributes that load other resources."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.headings: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        self.loaded += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "data")]

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "h2":
            self.headings.append(data)


def test_training_writes_a_self_contained_model_card(settings):
    text = card_path(settings.reports_dir).read_text(encoding="utf-8")
    page = _Page(text)
    assert page.headings == SECTIONS
    assert page.loaded == []
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
    assert "@import" not in text
    assert "url(" not in text
    assert page.tags.count("svg") == 5
    assert open_model_store(settings).current_version() in text
    assert len(text) < 200_000


def test_every_plot_of_the_page_is_well_formed(settings):
    text = card_path(settings.reports_dir).read_text(encoding="utf-8")
    plots = re.findall(r"<svg .*?</svg>", text, flags=re.DOTALL)
    assert [ElementTree.fromstring(plot).tag for plot in plots] == ["{http://www.w3.org/2000/svg}svg"] * 5
    assert not any("nan" in plot for plot in plots)


def test_the_card_of_equal_facts_is_the_same_page(settings, facts):
    assert card_page(facts) == card_path(settings.reports_dir).read_text(encoding="utf-8")


def test_the_facts_are_those_of_leaderboard_and_metadata(facts, settings):
    models = facts.models.set_index("model")
    assert list(models.index[-3:]) == ["persistence", "har", "mean_7d"]
    assert models.loc["persistence", "skill"] == pytest.approx(0.0, abs=1e-6)
    assert models.loc[facts.metadata["recipe"]["name"], "skill"] == facts.metadata["metrics"]["skill"]
    assert (
        facts.calibration["rows"].sum()
        == facts.metadata["metrics"]["folds"][0]["rows"] + facts.metadata["metrics"]["folds"][1]["rows"]
    )
    assert facts.calibration["predicted"].is_monotonic_increasing
    assert facts.coverage["group"].tolist()[0] == "with_history"
    assert len(facts.importance) == 15
    assert facts.importance["rise"].is_monotonic_decreasing
    assert facts.importance["rise"].iloc[0] > 0.05
    assert facts.worst_coins["MAE"].is_monotonic_decreasing
    assert len(facts.worst_coins) == 10
    assert facts.ledger["event"].tolist() == ["promotion"]


def test_the_daily_errors_average_to_those_of_the_leaderboard(facts, best, trained_rows):
    dates = trained_rows.date[best.evaluation.rows]
    counts = pd.Series(1, index=dates).groupby(level=0).sum().to_numpy()
    mean = float((facts.daily_mae[best.spec.name].to_numpy() * counts).sum() / counts.sum())
    folds = facts.metadata["metrics"]["folds"]
    assert mean == pytest.approx(
        sum(fold["mae"] * fold["rows"] for fold in folds) / sum(fold["rows"] for fold in folds)
    )


def test_the_champion_shows_the_card_as_markdown(settings):
    instance = dg.DagsterInstance.from_config(str(settings.dagster_home))
    shown = instance.get_latest_materialization_event(dg.AssetKey("champion")).asset_materialization.metadata
    assert shown["card"].value.count("### ") == len(SECTIONS)
    assert "| persistence | 0.000 |" in shown["card"].value
    assert shown["card_page"].value.endswith("reports/model_card.html")


def test_deciles_by_hand():
    predicted = np.array([0.3, 0.1, 0.2, 0.4])
    realised = np.array([1.0, 3.0, 5.0, 7.0])
    table = calibration(predicted, realised, parts=2)
    assert table.to_dict("list") == {
        "decile": [1, 2],
        "rows": [2, 2],
        "predicted": [pytest.approx(0.15), pytest.approx(0.35)],
        "realised": [4.0, 4.0],
    }
    assert len(calibration(predicted[:1], realised[:1])) == 1


def test_names_and_reasons_are_escaped(facts):
    evil = "<script>alert('x')</script> & | \n"
    metadata = {**facts.metadata, "promotion_reason": evil, "git_revision": evil}
    ledger = facts.ledger.assign(reason=evil)
    coins = facts.worst_coins.assign(coin=evil)
    escaped = CardFacts(**{**vars(facts), "metadata": metadata, "ledger": ledger, "worst_coins": coins})
    page = card_page(escaped)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 2 + len(coins) + len(ledger)
    table = card_markdown(escaped).split("### Worst coins")[1].split("###")[0].strip().splitlines()
    assert len(table) == 2 + len(coins)
    assert all(line.startswith("| ") or line.startswith("|---") for line in table)


def test_a_provisional_card_without_skill_states_it(facts):
    metrics = {**facts.metadata["metrics"], "skill": None, "worst_skill": None, "skill_without_history": None}
    metadata = {**facts.metadata, "metrics": metrics, "provisional": True, "evaluation": "by_coin"}
    page = card_page(CardFacts(**{**vars(facts), "metadata": metadata}))
    assert "Provisional: evaluated on held-out coins" in page
    assert "the intervals are not evidence for new days" in page
    assert "not evidence for new days" not in card_page(facts)
    assert "<b>–</b><span>skill against persistence</span>" in page


def test_a_group_with_a_pooled_interval_shows_its_source(facts):
    groups = facts.half_widths.set_index("group")
    # Six size buckets, new listings, six size buckets without history, and groups that lack one or both changes.
    assert len(groups) == 22
    # 30 coins: none ranks above 1000, so that bucket uses the pooled residuals.
    counts = facts.metadata["intervals"]["counts"]
    assert groups.loc["above_1000", "residuals of"] == "pooled"
    assert groups.loc["above_1000", "residuals"] == counts["pooled"]
    assert groups.loc["without_history:above_1000", "residuals"] == counts["without_history:pooled"]
    assert groups.loc["young", "residuals of"] == "its own"
    coverage = facts.coverage.set_index("group")
    assert coverage.loc["young", "fewest residuals"] == facts.metadata["coverage"]["pooled"]["young"]["residuals"]
    page = card_page(facts)
    assert "cannot guarantee" not in page
    few_residuals = {**facts.metadata, "intervals": {**facts.metadata["intervals"], "counts": {"pooled": 8}}}
    assert "The smallest number is 8: even the largest of so few residuals cannot guarantee 90%" in card_page(
        CardFacts(**{**vars(facts), "metadata": few_residuals})
    )


def test_by_coin_the_table_has_skill_against_the_mean_change(facts, settings):
    board = json.loads((settings.reports_dir / "metrics.json").read_text())
    assert "skill, mean change" not in model_table(board)
    for entry in [*board["candidates"], *board["baselines"]]:
        entry["metrics"]["with_history"]["all"]["mean"]["skill_vs_mean_change"] = 0.125
    assert model_table(board)["skill, mean change"].tolist() == [0.125] * 6
    assert "<th>skill, mean change</th>" in card_page(CardFacts(**{**vars(facts), "models": model_table(board)}))


def test_coverage_has_standard_error_and_source_by_fold(facts):
    (fold,) = facts.metadata["coverage"]["folds"]
    coverage = facts.coverage.set_index("group")
    with_history = coverage.loc["with_history"]
    assert with_history["fold 2"] == fold["groups"]["with_history"]["coverage"] == with_history["coverage"]
    assert with_history["standard error"] == facts.metadata["coverage"]["pooled"]["with_history"]["standard_error"] > 0
    pooled = facts.metadata["coverage"]["pooled"]
    pooled_groups = [name for name, found in pooled.items() if name.startswith("without_history:") and not found["own"]]
    assert {coverage.loc[name, "residuals of"] for name in pooled_groups} == {"partial:pooled"}
    page = card_page(facts).split("Coverage of the 90%")[1].split("Intervals in use")[0]
    assert '<th class="fold">fold 2</th>' in page
    assert f"<td>{with_history['fold 2']:.1%}</td>" in page
    assert "partial: pooled" in page


@pytest.mark.parametrize(
    ("days", "text"), [(1, "(kyle_obizhaeva) for tomorrow. "), (7, "(kyle_obizhaeva) 7 days ahead. ")]
)
def test_the_horizon_is_described_in_words(facts, days, text):
    assert text in card_page(CardFacts(**{**vars(facts), "metadata": {**facts.metadata, "horizon_days": days}}))


def test_a_model_of_one_fold_has_a_card_without_coverage(facts):
    page = card_page(CardFacts(**{**vars(facts), "coverage": facts.coverage.head(0)}))
    assert _Page(page).headings == SECTIONS
    assert "<p>none</p>" in page


# Cards of versions.


def test_after_a_rollback_the_card_is_that_of_the_target(tmp_path):
    save_card(tmp_path, "A_v1", "one", stored=["A_v1"])
    save_card(tmp_path, "A_v2", "two", stored=["A_v2", "A_v1"])
    assert card_path(tmp_path).read_text() == "two"
    publish_card(tmp_path, "A_v1")
    assert card_path(tmp_path).read_text() == "one"
    publish_card(tmp_path, "A_v0")
    assert not card_path(tmp_path).exists()


def test_cards_of_removed_versions_are_removed(tmp_path):
    for number in (1, 2, 3):
        save_card(tmp_path, f"A_v{number}", "page", stored=["A_v3", "A_v2"][: number - 1] or ["A_v1"])
    assert sorted(path.stem for path in (tmp_path / "model_cards").iterdir()) == ["A_v2", "A_v3"]


@pytest.mark.parametrize(
    ("last", "windows", "text"),
    [
        ("2024-01-06", [7, 30, 90], "7, 30, 90 days: no row fills them"),
        ("2024-01-30", [90], "90 days: no row fills them"),
        ("2024-03-30", [], "none"),
    ],
)
def test_the_card_states_which_windows_are_longer_than_the_table(facts, last, windows, text):
    training = {**facts.metadata["training"], "first_date": "2024-01-01", "last_date": last}
    metadata = {**facts.metadata, "training": training}
    assert longer_windows(metadata) == windows
    assert f"windows longer than the table | {text}" in card_markdown(replace(facts, metadata=metadata))
