"""Checks of `leaderboard`: skill of the best candidate, and features that use later data."""

import dagster as dg

from cryptoliq_assets.core import Settings, read_json_object
from cryptoliq_assets.orchestration.checks.registry import CheckOutcome, asset_check
from cryptoliq_assets.storage import TableStore

ASSET = "leaderboard"


@asset_check(
    ASSET,
    description=(
        "The best candidate beats persistence in every fold: an error where evaluated over time, a warning where too few dates "
        "exist and coins were held out instead. The promotion criteria reject a candidate that does not, and the audit log "
        "records it."
    ),
    step="single",
)
def skill_above_zero(settings: Settings, store: TableStore) -> CheckOutcome:
    """Check the skill of the best candidate fold by fold."""
    board = read_json_object(settings.reports_dir / "metrics.json")
    best = next(entry for entry in board["candidates"] if entry["name"] == board["best"])
    folds = best["metrics"]["with_history"]["all"]["folds"]
    skills = {str(fold["fold"]): fold["skill"] for fold in folds}
    over_time = board["evaluation"] == "over_time"
    return CheckOutcome(
        all(skill is not None and skill > 0 for skill in skills.values()),
        {"best": board["best"], "skill_by_fold": skills, "evaluation": board["evaluation"]},
        severity=dg.AssetCheckSeverity.ERROR if over_time else dg.AssetCheckSeverity.WARN,
    )


@asset_check(
    ASSET,
    description=(
        "The features of sampled dates, recomputed from raw data cut at each date, equal the stored ones, value by value. A "
        "difference stops the promotion: a model trained on later data is worthless."
    ),
    blocking=True,
    step="single",
)
def no_look_ahead(settings: Settings, store: TableStore) -> CheckOutcome:
    """Recompute sampled features from data cut at their date."""
    from cryptoliq_assets.modeling.evaluation import find_look_ahead, sample_dates

    result = find_look_ahead(store, sample_dates(store), formula=settings.formula)
    message = None
    if result["differing"]:
        message = (
            "stored features differ from those recomputed from data cut at their date: they contain later data, or are older "
            "than the cleaned rows; `cryptoliq materialize` recomputes stale months"
        )
    return CheckOutcome(not result["differing"], result, message)
