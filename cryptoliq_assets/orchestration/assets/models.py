"""The assets of training: one per registered candidate, their backtest, the leaderboard and the champion.

The candidates are those of `modeling.estimators.CANDIDATES`; a new one needs no change here. How a model is evaluated,
ranked or promoted belongs in `modeling`.
"""

from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings, markdown_table, write_json
from cryptoliq_assets.modeling.estimators import CANDIDATES, DESCRIPTIONS, FORECASTERS, MODEL_NAMES
from cryptoliq_assets.orchestration import (
    BACKTEST_IO,
    CANDIDATES_IO,
    CHAMPION_IO,
    OWNERS,
    WEEKLY,
    all_months_dep,
    column_schema_metadata,
    make_pandera_type,
)
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock, Workers
from cryptoliq_assets.schemas import BACKTEST
from cryptoliq_assets.storage import TableStore

GROUP = "models"
# Raise this when the evaluation or a model spec changes.
CODE_VERSION = "2"


def model_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Define one asset per candidate of the registry, and the assets that compare them."""
    candidates = [_candidate(name, settings) for name in CANDIDATES]
    return [*candidates, _backtest(settings), _leaderboard(settings), _champion(settings)]


def _candidate_inputs() -> dict[str, dg.AssetIn]:
    return {name: dg.AssetIn(name) for name in CANDIDATES}


def _candidate(name: str, settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        group_name=GROUP,
        kinds={"python", FORECASTERS[MODEL_NAMES[name]].LIBRARY.replace("-", "")},
        owners=OWNERS,
        code_version=CODE_VERSION,
        description=f"{DESCRIPTIONS[name]} Fitted model, metrics by fold and out-of-fold forecasts.",
        io_manager_key=CANDIDATES_IO,
        freshness_policy=WEEKLY,
        deps=[
            all_months_dep(table) for table in ("cleaned_snapshots", "engineered_features", "feature_views", "labels")
        ],
    )
    def candidate(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        workers: Workers,
    ) -> dg.Output:
        from cryptoliq_assets.modeling import fit_candidate

        _update_views(context, settings, tables.store(), workers)
        fitted = fit_candidate(name, settings, store=tables.store(), progress=context.log.info, cluster=workers.cluster)
        evaluation = fitted.evaluation
        metadata = {
            "evaluation": evaluation.evaluation,
            "skill": evaluation.skill(),
            "skill_known_cap": evaluation.skill("known_cap"),
            "cold_start_skill": evaluation.skill(view="without_history"),
            "seconds": evaluation.seconds,
            "computed_on": fitted.computed_on,
            "rows_tested": len(evaluation.rows),
        }
        return dg.Output(fitted, metadata={key: value for key, value in metadata.items() if value is not None})

    return candidate


def _update_views(context: dg.AssetExecutionContext, settings: Settings, store: TableStore, workers: Workers) -> None:
    """Bring the table of views up to date, and report its written months as materialized by this run."""
    from cryptoliq_assets.modeling import update_views

    written = update_views(settings, store, cluster=workers.cluster, progress=context.log.info)
    for month, rows in written.items():
        if rows:
            path = dg.MetadataValue.path(str(store.path("feature_views", month)))
            event = dg.AssetMaterialization(
                "feature_views", partition=month, metadata={"dagster/row_count": rows, "path": path}
            )
            context.log_event(event)


def _backtest(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        group_name=GROUP,
        kinds={"pandas", "parquet", "pandera"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        ins=_candidate_inputs(),
        dagster_type=make_pandera_type(BACKTEST),
        metadata=column_schema_metadata(BACKTEST),
        io_manager_key=BACKTEST_IO,
        freshness_policy=WEEKLY,
    )
    def backtest(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        **candidates: Any,
    ) -> dg.Output:
        """Out-of-fold forecasts of all candidates and baselines with the actual scores, as reports/backtest.parquet.

        One row per (coin, date, model), of days or coins that the model had not seen. reports/backtest_by_coin.parquet has
        the metrics by coin.
        """
        from cryptoliq_assets.core import line_plot, svg_as_markdown
        from cryptoliq_assets.modeling import save_backtest
        from cryptoliq_assets.modeling.evaluation import backtest_path, best_and_worst_coins, by_coin_path, smooth_daily

        summary = save_backtest(list(candidates.values()), settings, store=tables.store())
        best_coins, worst_coins = best_and_worst_coins(summary.by_coin, summary.best)
        days = [str(day.date()) for day in summary.daily_mae.index]
        plot = line_plot(
            days, smooth_daily(summary.daily_mae), title="Mean absolute error, 7-day mean", y_label="score"
        )
        path = backtest_path(settings.reports_dir)
        return dg.Output(
            path,
            metadata={
                "dagster/row_count": sum(summary.rows.values()),
                "rows_by_model": summary.rows,
                "first_date": days[0],
                "last_date": days[-1],
                "preview": dg.MetadataValue.md(markdown_table(summary.preview)),
                "error_by_day": dg.MetadataValue.md(svg_as_markdown(plot, name="mean absolute error, 7-day mean")),
                "best_model": summary.best,
                "coins_forecast_best": dg.MetadataValue.md(markdown_table(best_coins)),
                "coins_forecast_worst": dg.MetadataValue.md(markdown_table(worst_coins)),
                "path": dg.MetadataValue.path(str(path)),
                "by_coin_path": dg.MetadataValue.path(str(by_coin_path(settings.reports_dir))),
            },
        )

    return backtest


def _leaderboard(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        group_name=GROUP,
        kinds={"python", "json"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        ins=_candidate_inputs(),
        io_manager_key=CANDIDATES_IO,
        freshness_policy=WEEKLY,
    )
    def leaderboard(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        **candidates: Any,
    ) -> dg.Output[dict]:
        """Candidates and baselines on the same folds, as reports/metrics.json: skill and errors, fold by fold."""
        from cryptoliq_assets.modeling import rank_candidates
        from cryptoliq_assets.modeling.evaluation import bucket_table, leaderboard_table

        board = rank_candidates(list(candidates.values()), settings, store=tables.store(), progress=context.log.info)
        path = settings.reports_dir / "metrics.json"
        write_json(path, board)
        return dg.Output(
            board,
            metadata={
                "evaluation": board["evaluation"],
                "best": board["best"],
                "all_rows": dg.MetadataValue.md(leaderboard_table(board)),
                "known_market_cap": dg.MetadataValue.md(leaderboard_table(board, population="known_cap")),
                "best_by_size": dg.MetadataValue.md(bucket_table(board, board["best"])),
                "report": dg.MetadataValue.path(str(path)),
            },
        )

    return leaderboard


def _champion(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        group_name=GROUP,
        kinds={"python", "pickle"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        ins={"leaderboard": dg.AssetIn("leaderboard"), **_candidate_inputs()},
        io_manager_key=CHAMPION_IO,
        freshness_policy=WEEKLY,
    )
    def champion(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        leaderboard: dict,
        **candidates: Any,
    ) -> dg.MaterializeResult:
        """The served model: models/current.pkl with metadata.json, scaler.json and the audit log.

        The candidates, and the champion's own spec refitted on the newest rows, are compared with the champion in the order
        of their skill; the first that meets the promotion criteria replaces it. Every rejection is recorded; the champion
        stays where all are rejected.
        """
        from cryptoliq_assets.modeling import LeakageSuspectedError, choose_champion
        from cryptoliq_assets.modeling.model_card import card_path

        try:
            outcome = choose_champion(
                leaderboard,
                list(candidates.values()),
                settings=settings,
                tables=tables.store(),
                progress=context.log.info,
                warn=context.log.warning,
            )
        except LeakageSuspectedError as error:
            raise dg.Failure(f"{error}; the champion stays", allow_retries=False) from error
        for decision in outcome.decisions:
            context.log.info(f"{'promoted' if decision.promote else 'not promoted'}: {decision.reason}")
        metadata = outcome.metadata
        if not outcome.promoted:
            current = f"{metadata['version']} stays" if metadata else "no champion exists"
            context.log.warning(
                f"no candidate meets the promotion criteria, so {current}: {settings.models_dir}/ledger.jsonl has the reasons"
            )
        summary: dict[str, Any] = {"promoted": outcome.promoted, "reason": outcome.reason}
        if metadata is not None:
            summary |= {
                "version": metadata["version"],
                "skill": float(metadata["metrics"]["skill"] or 0.0),
                "evaluation": metadata["evaluation"],
                "provisional": metadata["provisional"],
                "known_until": metadata["known_until"],
                "metadata": dg.MetadataValue.json(metadata),
            }
        if outcome.card is not None:
            path = dg.MetadataValue.path(str(card_path(settings.reports_dir)))
            summary |= {"card": dg.MetadataValue.md(outcome.card), "card_page": path}
        return dg.MaterializeResult(metadata=summary)

    return champion
