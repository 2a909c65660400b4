"""Checks of the models: does the best candidate beat doing nothing?"""

import json

import dagster as dg

from cryptoliq_assets.settings import Settings


def model_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    @dg.asset_check(
        asset="leaderboard",
        name="skill_above_zero",
        blocking=True,
        description=(
            "The best candidate beats persistence in every fold. Blocking where evaluated over time; a warning where "
            "there were too few dates and coins were held out instead."
        ),
    )
    def skill_above_zero(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        board = json.loads((settings.reports_dir / "metrics.json").read_text(encoding="utf-8"))
        best = next(entry for entry in board["candidates"] if entry["name"] == board["best"])
        folds = best["metrics"]["with_history"]["all"]["folds"]
        skills = {str(fold["fold"]): fold["skill"] for fold in folds}
        over_time = board["evaluation"] == "over_time"
        return dg.AssetCheckResult(
            passed=all(skill is not None and skill > 0 for skill in skills.values()),
            severity=dg.AssetCheckSeverity.ERROR if over_time else dg.AssetCheckSeverity.WARN,
            metadata={"best": board["best"], "skill_by_fold": skills, "evaluation": board["evaluation"]},
        )

    return [skill_above_zero]
