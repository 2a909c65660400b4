"""From the tables to fitted candidates, and from the best of them to a champion: what the model assets call."""

import datetime as dt
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import Settings
from cryptoliq_assets.modeling.datasets import Folds, TrainingSet, build_training_set, make_folds
from cryptoliq_assets.modeling.drift_reference import REFERENCE, training_reference
from cryptoliq_assets.modeling.estimators import CANDIDATES, ModelSpec, evaluated_specs, fit_spec
from cryptoliq_assets.modeling.evaluation import (
    BASELINES,
    BacktestSummary,
    Evaluation,
    Progress,
    average_over_coins,
    backtest_path,
    count_coins_by_fold,
    evaluate,
    evaluate_baseline,
    make_leaderboard,
    write_backtest,
)
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets.modeling.model_card import card_facts, card_markdown, card_page, save_card
from cryptoliq_assets.modeling.registry import (
    Candidate,
    Decision,
    ModelRejectedError,
    evaluate_candidates,
    model_metadata,
    open_model_store,
)
from cryptoliq_assets.modeling.task import describe_task_mismatch
from cryptoliq_assets.storage import TableStore

_TABLES = ("cleaned_snapshots", "engineered_features", "labels")


class LeakageSuspectedError(RuntimeError):
    """A candidate is too good to be true; nothing was promoted."""


def training_rows(settings: Settings, store: TableStore) -> tuple[TrainingSet, Folds]:
    """All trainable rows of the home and the folds on them; kept while the tables stay as they are.

    Raises ValueError, saying what is missing, where nothing can be trained on.
    """
    stamps = tuple(
        (table, month, stamp.inputs)
        for table in _TABLES
        for month in store.months(table)
        if (stamp := store.stamp(table, month))
    )
    return _rows(json.dumps(settings.public_values()), stamps)


@lru_cache(maxsize=1)
def _rows(settings_json: str, stamps: tuple) -> tuple[TrainingSet, Folds]:
    settings = Settings.model_validate_json(settings_json)
    store = TableStore(settings)
    cleaned, features, labels = (store.read(table, complete=True) for table in _TABLES)
    rows = build_training_set(features, labels, cleaned=cleaned, formula=settings.formula)
    if rows.horizon_days != settings.horizon_days:
        raise ValueError(
            f"the labels are of {rows.horizon_days} day(s) ahead, CRYPTOLIQ_HORIZON_DAYS says {settings.horizon_days}: "
            "`cryptoliq materialize` makes them again"
        )
    folds = make_folds(
        rows,
        count=settings.cv.n_splits,
        first_origin=settings.cv.first_test_date,
        min_train_dates=settings.cv.min_train_dates,
    )
    return rows, folds


def fit_candidate(name: str, settings: Settings, *, store: TableStore, progress: Progress) -> Candidate:
    """Evaluate a recipe fold by fold, then fit it on all rows."""
    return _fit(CANDIDATES[name], settings, store=store, progress=progress)


def _fit(recipe: ModelSpec, settings: Settings, *, store: TableStore, progress: Progress) -> Candidate:
    rows, folds = training_rows(settings, store)
    how = {"seed": settings.seed, "device": settings.xgboost_device}
    evaluation = evaluate(recipe, rows, folds, progress=progress, **how)
    progress(f"{recipe.name}: fitting on all {len(rows):,} rows")
    return Candidate(recipe, fit_spec(recipe, rows, **how), evaluation)


def save_backtest(candidates: list[Candidate], settings: Settings, *, store: TableStore) -> BacktestSummary:
    """Write the out-of-fold forecasts of the candidates and the baselines; see `backtest.write_backtest`."""
    rows, folds = training_rows(settings, store)

    def evaluations() -> Iterator[Evaluation]:
        yield from (candidate.evaluation for candidate in candidates)
        yield from (evaluate_baseline(name, rows, folds) for name in BASELINES)

    return write_backtest(backtest_path(settings.reports_dir), evaluations(), rows)


def rank_candidates(
    candidates: list[Candidate], settings: Settings, *, store: TableStore, progress: Progress
) -> dict[str, Any]:
    """The leaderboard of the candidates and the baselines on the same folds.

    Where the champion was made by a recipe that is no candidate any more, that recipe is refitted on these folds too:
    only so do the two compare. One of another task does not compare, and is not refitted.
    """
    rows, folds = training_rows(settings, store)
    standing = load_champion_status(settings)
    evaluations = [candidate.evaluation for candidate in candidates]
    for recipe in evaluated_specs(None if standing.task_mismatch else standing.metadata)[len(CANDIDATES) :]:
        evaluations.append(
            evaluate(recipe, rows, folds, seed=settings.seed, device=settings.xgboost_device, progress=progress)
        )
    evaluations += [evaluate_baseline(name, rows, folds) for name in BASELINES]
    board = make_leaderboard(
        evaluations,
        generated_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        horizon_days=settings.horizon_days,
        formula=settings.formula,
        known_until=str(rows.target_date.max()),
    )
    per_coin = {evaluation.name: average_over_coins(evaluation, rows) for evaluation in evaluations}
    return {**board, "coins": count_coins_by_fold(evaluations[0], rows), "per_coin": per_coin}


@dataclass(frozen=True)
class PromotionResult:
    """What a training came to. decisions: as `gate.consider`; metadata: the champion's, None where none loads; card: of a
    new one, as Markdown; the card's page is reports/model_card.html."""

    decisions: tuple[Decision, ...]
    metadata: dict[str, Any] | None
    card: str | None = None

    @property
    def promoted(self) -> bool:
        return self.decisions[-1].promote

    @property
    def reason(self) -> str:
        return "; ".join(decision.reason for decision in self.decisions)


def choose_champion(
    leaderboard: dict[str, Any],
    candidates: list[Candidate],
    *,
    settings: Settings,
    tables: TableStore,
    progress: Progress,
    warn: Progress,
) -> PromotionResult:
    """Put the candidates, and the champion's own recipe refitted, before the gate in the order of their skill; the first that
    passes takes the champion's place.

    Every decision stands in the ledger. Where no stored model loads, or the one that does has another task, `warn` gets the
    reasons, the rules are those of a first champion, and the ledger says why nothing was compared. Raises
    LeakageSuspectedError where a candidate is too good to be true; the champion then stays.
    """
    store, standing = open_model_store(settings), load_champion_status(settings)
    uncompared = ""
    if standing.refused:
        uncompared = f"; no stored model could be compared with: {standing.refused}"
        warn(f"no stored model loads, so a first champion is chosen: {standing.refused}")
    if standing.task_mismatch:
        warn(f"a first champion of another task is chosen: {standing.task_mismatch}")
    decisions = evaluate_candidates(leaderboard, champion=standing.metadata)
    by_name = {candidate.spec.name: candidate for candidate in candidates}
    now = dt.datetime.now(dt.UTC)
    for decision in decisions:
        if not decision.promote:
            known = by_name.get(decision.candidate)
            learner = known.forecaster if known else None
            store.refuse(decision.candidate, reason=decision.reason + uncompared, at=now, model=learner)
        if decision.leakage:
            raise LeakageSuspectedError(decision.reason)
    last = decisions[-1]
    if not last.promote:
        return PromotionResult(tuple(decisions), standing.metadata)
    best = by_name.get(last.candidate) or _refit(standing.metadata, settings, store=tables, progress=progress)
    rows, _ = training_rows(settings, tables)
    metadata = model_metadata(
        best.spec,
        rows,
        leaderboard,
        evaluation=best.evaluation,
        level=settings.intervals.coverage,
        at=now,
        git_revision=git_revision(),
    )
    # What its inputs looked like goes with it: drift is told from what it has learnt, whatever the tables hold by then.
    reference = training_reference(rows, best.forecaster, days=settings.drift.reference_days)
    metadata[REFERENCE] = reference.to_dict()
    promoted = store.promote(best.forecaster, metadata, reason=last.reason + uncompared, at=now)
    facts = card_facts(
        promoted,
        leaderboard,
        evaluation=best.evaluation,
        rows=rows,
        ledger=store.ledger.entries(),
    )
    save_card(settings.reports_dir, promoted["version"], card_page(facts), stored=store.versions())
    return PromotionResult(tuple(decisions), promoted, card_markdown(facts))


def _refit(
    champion: Mapping[str, Any] | None, settings: Settings, *, store: TableStore, progress: Progress
) -> Candidate:
    """The champion's recipe, no candidate any more, fitted on all rows; its forecasts out of fold were not kept."""
    return _fit(evaluated_specs(champion)[-1], settings, store=store, progress=progress)


@dataclass(frozen=True)
class ChampionStatus:
    """What a candidate has to beat. metadata: of the model that is served, which a broken current one is not; None
    where there is none. refused: why none loads, though there are some. task_mismatch: where it forecasts something else than
    the settings ask for, both in words."""

    metadata: dict[str, Any] | None
    refused: str | None = None
    task_mismatch: str | None = None


def load_champion_status(settings: Settings) -> ChampionStatus:
    """The model that stands, or why none does."""
    try:
        champion = load_champion(settings)
    except ModelRejectedError as error:
        return ChampionStatus(None, error.reason)
    if champion is None:
        return ChampionStatus(None)
    task = {"formula": settings.formula, "horizon_days": settings.horizon_days}
    return ChampionStatus(champion.metadata, task_mismatch=describe_task_mismatch(champion.metadata, **task))


def git_revision() -> str | None:
    """The commit that this code was checked out at; None for an installed package."""
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists() or shutil.which("git") is None:
        return None
    found = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or None
