"""From the tables to fitted candidates, and from the best of them to a champion: what the model assets call."""

import datetime as dt
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.models.backtest import Written, backtest_path, write_backtest
from cryptoliq_assets.models.card import model_metadata
from cryptoliq_assets.models.card_facts import card_facts
from cryptoliq_assets.models.card_file import keep_card
from cryptoliq_assets.models.card_page import card_markdown, card_page
from cryptoliq_assets.models.champion import load_champion
from cryptoliq_assets.models.evaluation import BASELINES, Evaluation, Progress, evaluate, evaluate_baseline
from cryptoliq_assets.models.folds import Folds, make_folds
from cryptoliq_assets.models.gate import Decision, decide
from cryptoliq_assets.models.leaderboard import make_leaderboard
from cryptoliq_assets.models.learners import Learner
from cryptoliq_assets.models.recipes import CANDIDATES, Recipe, challengers, fit_recipe
from cryptoliq_assets.models.store import store_of
from cryptoliq_assets.models.training_set import TrainingSet, build_training_set
from cryptoliq_assets.settings import Settings

_TABLES = ("cleaned_snapshots", "engineered_features", "labels")


class LeakageSuspected(RuntimeError):
    """A candidate is too good to be true; nothing was promoted."""


@dataclass(frozen=True)
class Candidate:
    """A recipe fitted on all rows, and how it did out of fold."""

    recipe: Recipe
    learner: Learner
    evaluation: Evaluation


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
    return _rows(json.dumps(settings.open_values()), stamps)


@lru_cache(maxsize=1)
def _rows(settings_json: str, stamps: tuple) -> tuple[TrainingSet, Folds]:
    settings = Settings.model_validate_json(settings_json)
    store = TableStore(settings)
    cleaned, features, labels = (store.read(table) for table in _TABLES)
    rows = build_training_set(features, labels, cleaned=cleaned, formula=settings.formula)
    folds = make_folds(
        rows, count=settings.folds, first_origin=settings.first_origin, min_train_dates=settings.min_train_dates
    )
    return rows, folds


def fit_candidate(name: str, settings: Settings, *, store: TableStore, progress: Progress) -> Candidate:
    """Evaluate a recipe fold by fold, then fit it on all rows."""
    rows, folds = training_rows(settings, store)
    recipe = CANDIDATES[name]
    how = {"seed": settings.seed, "device": settings.device}
    evaluation = evaluate(recipe, rows, folds, progress=progress, **how)
    progress(f"{name}: fitting on all {len(rows):,} rows")
    return Candidate(recipe, fit_recipe(recipe, rows, **how), evaluation)


def keep_backtest(candidates: list[Candidate], settings: Settings, *, store: TableStore) -> Written:
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
    only so do the two compare.
    """
    rows, folds = training_rows(settings, store)
    evaluations = [candidate.evaluation for candidate in candidates]
    for recipe in challengers(standing_champion(settings))[len(CANDIDATES) :]:
        evaluations.append(evaluate(recipe, rows, folds, seed=settings.seed, device=settings.device, progress=progress))
    evaluations += [evaluate_baseline(name, rows, folds) for name in BASELINES]
    return make_leaderboard(
        evaluations,
        generated_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        horizon_days=settings.horizon_days,
        formula=settings.formula,
        known_until=str(rows.target_date.max()),
    )


def choose_champion(
    leaderboard: dict[str, Any], candidates: list[Candidate], *, settings: Settings, tables: TableStore
) -> tuple[Decision, dict[str, Any] | None, str | None]:
    """Put the best candidate before the gate; returns the decision, the champion's metadata (None: there is none) and,
    where it is new, its card as Markdown; the card's page is reports/model_card.html.

    A refusal is recorded in the ledger and the champion stays; raises LeakageSuspected where the candidate is too good
    to be true.
    """
    store, standing = store_of(settings), standing_champion(settings)
    best = next(candidate for candidate in candidates if candidate.recipe.name == leaderboard["best"])
    decision = decide(leaderboard, champion=standing)
    now = dt.datetime.now(dt.UTC)
    if not decision.promote:
        store.refuse(best.recipe.name, reason=decision.reason, at=now, model=best.learner)
        if decision.leakage:
            raise LeakageSuspected(decision.reason)
        return decision, standing, None
    rows, _ = training_rows(settings, tables)
    metadata = model_metadata(
        best.recipe,
        rows,
        leaderboard,
        evaluation=best.evaluation,
        level=settings.interval_level,
        at=now,
        git_revision=git_revision(),
    )
    promoted = store.promote(best.learner, metadata, reason=decision.reason, at=now)
    facts = card_facts(
        promoted,
        leaderboard,
        evaluation=best.evaluation,
        rows=rows,
        learner=best.learner,
        ledger=store.ledger.entries(),
        seed=settings.seed,
    )
    keep_card(settings.reports_dir, promoted["version"], card_page(facts), stored=store.versions())
    return decision, promoted, card_markdown(facts)


def standing_champion(settings: Settings) -> dict[str, Any] | None:
    """Metadata of the model that a candidate has to beat: the one that is served, which a broken current one is not."""
    champion = load_champion(settings)
    return champion.metadata if champion else None


def git_revision() -> str | None:
    """The commit that this code was checked out at; None for an installed package."""
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists() or shutil.which("git") is None:
        return None
    found = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or None
