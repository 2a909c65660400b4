"""Training: from the tables to fitted candidates, and from the best of them to a champion.

The model assets call these functions. Fitting belongs in `modeling.estimators`, the criteria in `modeling.registry.promotion`.
"""

import datetime as dt
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import Settings
from cryptoliq_assets.core.cluster import Cluster
from cryptoliq_assets.modeling.datasets import Folds, TrainingRows
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
from cryptoliq_assets.modeling.training_data import table_cache, training_rows
from cryptoliq_assets.modeling.worker_folds import evaluate_on_workers
from cryptoliq_assets.storage import TableStore, release_memory


class LeakageSuspectedError(RuntimeError):
    """A candidate is too good to be true, so nothing was promoted."""


def fit_candidate(
    name: str, settings: Settings, *, store: TableStore, progress: Progress, cluster: Cluster | None = None
) -> Candidate:
    """Evaluate a candidate fold by fold, then fit it on all rows.

    Args:
        name: Name in CANDIDATES.
        settings: Settings of the data directory.
        store: Tables.
        progress: Receives each finished fold.
        cluster: Workers that evaluate the folds, and on which xgboost is fitted; default: this process.
    """
    return _fit(CANDIDATES[name], settings, store=store, progress=progress, cluster=cluster)


def _fit(
    spec: ModelSpec, settings: Settings, *, store: TableStore, progress: Progress, cluster: Cluster | None = None
) -> Candidate:
    rows, folds = training_rows(settings, store)
    evaluation = _evaluate(spec, rows, folds, settings=settings, progress=progress, cluster=cluster)
    progress(f"{spec.name}: fitting on all {len(rows):,} rows")
    seed, device, cache = settings.seed, settings.xgboost_device, table_cache(settings)
    forecaster = fit_spec(spec, rows, seed=seed, device=device, cache=cache, cluster=cluster)
    release_memory()
    return Candidate(spec, forecaster, evaluation, computed_on="process" if cluster is None else "cluster")


def _evaluate(
    spec: ModelSpec,
    rows: TrainingRows,
    folds: Folds,
    *,
    settings: Settings,
    progress: Progress,
    cluster: Cluster | None = None,
) -> Evaluation:
    if cluster is not None:
        return evaluate_on_workers(spec, rows, folds, settings=settings, cluster=cluster, progress=progress)
    seed, device, cache = settings.seed, settings.xgboost_device, table_cache(settings)
    return evaluate(spec, rows, folds, progress=progress, seed=seed, device=device, cache=cache)


def save_backtest(candidates: list[Candidate], settings: Settings, *, store: TableStore) -> BacktestSummary:
    """Write the out-of-fold forecasts of the candidates and the baselines; see `write_backtest`."""
    rows, folds = training_rows(settings, store)

    def evaluations() -> Iterator[Evaluation]:
        yield from (candidate.evaluation for candidate in candidates)
        yield from (evaluate_baseline(name, rows, folds) for name in BASELINES)

    return write_backtest(backtest_path(settings.reports_dir), evaluations(), rows, scratch=settings.scratch_dir)


def rank_candidates(
    candidates: list[Candidate], settings: Settings, *, store: TableStore, progress: Progress
) -> dict[str, Any]:
    """Return the leaderboard of the candidates and the baselines on the same folds.

    If the champion's specification is no longer a candidate's, it is refitted on these folds too, so that the two can be
    compared; except if its task differs.

    Args:
        candidates: Fitted candidates with their evaluations.
        settings: Settings of the data directory.
        store: Tables.
        progress: Receives each finished fold.
    """
    rows, folds = training_rows(settings, store)
    status = load_champion_status(settings)
    evaluations = [candidate.evaluation for candidate in candidates]
    for spec in evaluated_specs(None if status.task_mismatch else status.metadata)[len(CANDIDATES) :]:
        evaluations.append(_evaluate(spec, rows, folds, settings=settings, progress=progress))
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
    """The result of a training.

    Attributes:
        decisions: As in `evaluate_candidates`.
        metadata: The champion's; None if none loads.
        card: Model card of a new champion, as Markdown; its page is reports/model_card.html.
    """

    decisions: tuple[Decision, ...]
    metadata: dict[str, Any] | None
    card: str | None = None

    @property
    def promoted(self) -> bool:
        """Whether a candidate became champion."""
        return self.decisions[-1].promote

    @property
    def reason(self) -> str:
        """The reasons of all decisions."""
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
    """Check candidates, and the champion's specification refitted, in the order of their skill; promote the first that
    meets the promotion criteria.

    Every decision is recorded in the ledger. If no stored model loads, or the loaded one has another task, the criteria are
    those of a first champion, and the ledger states why nothing was compared.

    Args:
        leaderboard: As in `rank_candidates`.
        candidates: The fitted candidates.
        settings: Settings of the data directory.
        tables: The tables that they were fitted on.
        progress: Receives progress messages.
        warn: Receives the reasons why nothing was compared.

    Raises:
        LeakageSuspectedError: A candidate is too good to be true; the champion stays.
    """
    store, status = open_model_store(settings), load_champion_status(settings)
    not_compared = ""
    if status.rejection:
        not_compared = f"; not compared, because no stored model loads: {status.rejection}"
        warn(f"no stored model loads, so a first champion is chosen: {status.rejection}")
    if status.task_mismatch:
        warn(f"a first champion for another task is chosen: {status.task_mismatch}")
    decisions = evaluate_candidates(leaderboard, champion=status.metadata)
    by_name = {candidate.spec.name: candidate for candidate in candidates}
    now = dt.datetime.now(dt.UTC)
    for decision in decisions:
        if not decision.promote:
            candidate = by_name.get(decision.candidate)
            forecaster = candidate.forecaster if candidate else None
            store.record_rejection(decision.candidate, reason=decision.reason + not_compared, at=now, model=forecaster)
        if decision.leakage:
            raise LeakageSuspectedError(decision.reason)
    last = decisions[-1]
    if not last.promote:
        return PromotionResult(tuple(decisions), status.metadata)
    best = by_name.get(last.candidate) or _refit(status.metadata, settings, store=tables, progress=progress)
    rows, _ = training_rows(settings, tables)
    metadata = model_metadata(
        best.spec,
        rows,
        leaderboard,
        evaluation=best.evaluation,
        level=settings.intervals.coverage,
        at=now,
        git_revision=git_revision(),
        computed_on=best.computed_on,
    )
    # The training distributions are stored with the model: drift is measured against them, even if the tables change later.
    reference = training_reference(rows, best.forecaster, days=settings.drift.reference_days)
    metadata[REFERENCE] = reference.to_dict()
    promoted = store.promote(best.forecaster, metadata, reason=last.reason + not_compared, at=now)
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
    """The champion's specification, no longer a candidate, fitted on all rows; its out-of-fold forecasts were not stored."""
    return _fit(evaluated_specs(champion)[-1], settings, store=store, progress=progress)


@dataclass(frozen=True)
class ChampionStatus:
    """The model that a candidate must beat.

    Attributes:
        metadata: Of the model that serves, which a damaged current one does not; None without one.
        rejection: Why none of the stored models loads.
        task_mismatch: How its task differs from the configured one.
    """

    metadata: dict[str, Any] | None
    rejection: str | None = None
    task_mismatch: str | None = None


def load_champion_status(settings: Settings) -> ChampionStatus:
    """Return the status of the champion, or why there is none."""
    try:
        champion = load_champion(settings)
    except ModelRejectedError as error:
        return ChampionStatus(None, error.reason)
    if champion is None:
        return ChampionStatus(None)
    mismatch = describe_task_mismatch(champion.metadata, formula=settings.formula, horizon_days=settings.horizon_days)
    return ChampionStatus(champion.metadata, task_mismatch=mismatch)


def git_revision() -> str | None:
    """Return the commit of the checkout; None for an installed package."""
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists() or shutil.which("git") is None:
        return None
    result = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or None
