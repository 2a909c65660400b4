"""From the tables to fitted candidates, and from the best of them to a champion: what the model assets call."""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.models.evaluation import BASELINES, Evaluation, Progress, evaluate, evaluate_baseline
from cryptoliq_assets.models.folds import Folds, make_folds
from cryptoliq_assets.models.gate import Decision, decide
from cryptoliq_assets.models.intervals import calibrate_last, coverage_report
from cryptoliq_assets.models.leaderboard import candidate_named, make_leaderboard
from cryptoliq_assets.models.learners import Learner
from cryptoliq_assets.models.recipes import CANDIDATES, fit_recipe
from cryptoliq_assets.models.store import store_of
from cryptoliq_assets.models.training_set import TrainingSet, build_training_set
from cryptoliq_assets.settings import Settings

_TABLES = ("cleaned_snapshots", "engineered_features", "labels")


class LeakageSuspected(RuntimeError):
    """A candidate is too good to be true; nothing was promoted."""


@dataclass(frozen=True)
class Candidate:
    """A recipe fitted on all rows, and how it did out of fold."""

    name: str
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
    return _rows(settings.model_dump_json(exclude={"signing_key"}), stamps)


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
    return Candidate(name, fit_recipe(recipe, rows, **how), evaluation)


def rank_candidates(candidates: list[Candidate], settings: Settings, *, store: TableStore) -> dict[str, Any]:
    """The leaderboard of the candidates and the baselines on the same folds."""
    rows, folds = training_rows(settings, store)
    baselines = [evaluate_baseline(name, rows, folds) for name in BASELINES]
    return make_leaderboard(
        [candidate.evaluation for candidate in candidates] + baselines,
        generated_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        horizon_days=settings.horizon_days,
        formula=settings.formula,
        known_until=str(rows.target_date.max()),
    )


def choose_champion(
    leaderboard: dict[str, Any], candidates: list[Candidate], *, settings: Settings, tables: TableStore
) -> tuple[Decision, dict[str, Any] | None]:
    """Put the best candidate before the gate; returns the decision and the champion's metadata (None: there is none).

    A refusal is recorded in the ledger and the champion stays; raises LeakageSuspected where the candidate is too good
    to be true.
    """
    store = store_of(settings)
    best = next(candidate for candidate in candidates if candidate.name == leaderboard["best"])
    decision = decide(leaderboard, champion=store.current())
    now = dt.datetime.now(dt.UTC)
    if not decision.promote:
        store.refuse(best.name, reason=decision.reason, at=now, model=best.learner)
        if decision.leakage:
            raise LeakageSuspected(decision.reason)
        return decision, store.current()
    rows, _ = training_rows(settings, tables)
    metadata = champion_metadata(best, leaderboard, settings=settings, rows=rows)
    return decision, store.promote(best.learner, metadata, reason=decision.reason, at=now)


def champion_metadata(
    best: Candidate, leaderboard: dict[str, Any], *, settings: Settings, rows: TrainingSet
) -> dict[str, Any]:
    """What models/metadata.json says of a champion, beside what the store adds (name, version, digests, libraries)."""
    entry = candidate_named(leaderboard, best.name)
    har = candidate_named(leaderboard, "har")
    level = settings.interval_level
    return {
        "trained_on": str(rows.date.max()),
        "known_until": str(rows.target_date.max()),
        "features": list(best.learner.features),
        "metrics": {
            "skill": entry["skill"],
            "worst_skill": entry["worst_skill"],
            "skill_known_cap": entry["skill_known_cap"],
            "skill_without_history": entry["skill_without_history"],
            "skill_har": har["skill"],
            **entry["metrics"]["with_history"]["all"]["mean"],
        },
        "evaluation": leaderboard["evaluation"],
        "provisional": leaderboard["provisional"],
        "recipe": entry["recipe"],
        "horizon_days": settings.horizon_days,
        "formula": settings.formula,
        "training": {
            "first_date": str(rows.date.min()),
            "last_date": str(rows.date.max()),
            "dates": len(rows.dates),
            "rows": len(rows),
            "coins": len(rows.coin_names),
            "fingerprint": rows.fingerprint,
        },
        "folds": leaderboard["folds"],
        "conformal": calibrate_last(best.evaluation, rows, level=level).to_dict(),
        "coverage": coverage_report(best.evaluation, rows, level=level)["pooled"],
    }
