"""Checks of the models: does the best candidate beat doing nothing, and do the features know no tomorrow?"""

import dagster as dg

from cryptoliq_assets.core import Settings, read_json_object
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager


def model_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    @dg.asset_check(
        asset="leaderboard",
        name="skill_above_zero",
        description=(
            "The best candidate beats persistence in every fold: an error where evaluated over time, a warning where there "
            "were too few dates and coins were held out instead. The gate, which comes after, refuses what does not, and the "
            "ledger says so."
        ),
    )
    def skill_above_zero(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        board = read_json_object(settings.reports_dir / "metrics.json")
        best = next(entry for entry in board["candidates"] if entry["name"] == board["best"])
        folds = best["metrics"]["with_history"]["all"]["folds"]
        skills = {str(fold["fold"]): fold["skill"] for fold in folds}
        over_time = board["evaluation"] == "over_time"
        return dg.AssetCheckResult(
            passed=all(skill is not None and skill > 0 for skill in skills.values()),
            severity=dg.AssetCheckSeverity.ERROR if over_time else dg.AssetCheckSeverity.WARN,
            metadata={"best": board["best"], "skill_by_fold": skills, "evaluation": board["evaluation"]},
        )

    @dg.asset_check(
        asset="leaderboard",
        name="no_look_ahead",
        blocking=True,
        description=(
            "The features of sampled dates, made again from raw data cut at each date, equal the stored ones, value "
            "for value. It stops a promotion: what was learnt from a later day's values is worth nothing."
        ),
    )
    def no_look_ahead(
        context: dg.AssetCheckExecutionContext, tables: dg.ResourceParam[PanderaParquetIOManager]
    ) -> dg.AssetCheckResult:
        from cryptoliq_assets.modeling.evaluation import find_look_ahead, sample_dates

        store = tables.store()
        found = find_look_ahead(store, sample_dates(store), formula=settings.formula)
        told = None
        if found["differing"]:
            told = (
                "stored features are not those that data cut at their date give: they hold a later day's values, or are "
                "older than the cleaned rows; `cryptoliq materialize` makes stale months again"
            )
        return dg.AssetCheckResult(
            passed=not found["differing"],
            severity=dg.AssetCheckSeverity.ERROR,
            metadata=found,
            description=told,
        )

    return [skill_above_zero, no_look_ahead]
