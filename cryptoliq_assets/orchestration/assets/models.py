"""The models group: one asset per registered candidate, their backtest, the leaderboard and the champion.

The candidates are those of `modeling.estimators.CANDIDATES`; a new one needs no change here. How a model is evaluated,
ranked or promoted belongs in `modeling`.
"""

from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings, markdown_table, write_json
from cryptoliq_assets.modeling.estimators import CANDIDATES, DESCRIPTIONS, FORECASTERS, MODEL_NAMES
from cryptoliq_assets.orchestration import CANDIDATES_IO, OWNERS, all_months_dep
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock

GROUP = "models"
# Increase when the evaluation or a specification changes.
CODE_VERSION = "2"

# The candidates as inputs of an asset, by parameter name.
_CANDIDATE_INS = {name: dg.AssetIn(name) for name in CANDIDATES}


def model_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets of the group, for one set of settings."""
    candidates = [_candidate(name, settings) for name in CANDIDATES]
    return [*candidates, _backtest(settings), _leaderboard(settings), _champion(settings)]


def _candidate(name: str, settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        group_name=GROUP,
        kinds={"python", FORECASTERS[MODEL_NAMES[name]].LIBRARY.replace("-", "")},
        owners=OWNERS,
        code_version=CODE_VERSION,
        description=f"{DESCRIPTIONS[name]} Fitted model, fold metrics and out-of-fold forecasts.",
        io_manager_key=CANDIDATES_IO,
        deps=[all_months_dep(table) for table in ("cleaned_snapshots", "engineered_features", "labels")],
    )
    def candidate(
        context: dg.AssetExecutionContext, lock: RunLock, tables: dg.ResourceParam[PanderaParquetIOManager]
    ) -> dg.Output:
        from cryptoliq_assets.modeling import fit_candidate

        fitted = fit_candidate(name, settings, store=tables.store(), progress=context.log.info)
        evaluation = fitted.evaluation
        metadata = {
            "evaluation": evaluation.evaluation,
            "skill": evaluation.skill(),
            "skill_known_cap": evaluation.skill("known_cap"),
            "skill_without_history": evaluation.skill(view="without_history"),
            "seconds": evaluation.seconds,
            "rows_tested": len(evaluation.rows),
        }
        return dg.Output(fitted, metadata={key: value for key, value in metadata.items() if value is not None})

    return candidate


def _backtest(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        group_name=GROUP,
        kinds={"pandas", "parquet", "pandera"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        ins=_CANDIDATE_INS,
    )
    def backtest(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        **candidates: Any,
    ) -> dg.MaterializeResult:
        """Out-of-fold forecasts of all candidates and baselines with what came true, as reports/backtest.parquet.

        One row a (coin, date, model): what each would have said of days, or coins, that it had not seen. What that is worth
        coin by coin is reports/backtest_by_coin.parquet.
        """
        from cryptoliq_assets.core import line_plot, svg_as_markdown
        from cryptoliq_assets.modeling import save_backtest
        from cryptoliq_assets.modeling.evaluation import backtest_path, best_and_worst_coins, by_coin_path, smooth_daily

        written = save_backtest(list(candidates.values()), settings, store=tables.store())
        least, largest = best_and_worst_coins(written.by_coin, written.best)
        days = [str(day.date()) for day in written.daily_mae.index]
        plot = line_plot(
            days, smooth_daily(written.daily_mae), title="Mean absolute error, 7-day mean", y_label="score"
        )
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": sum(written.rows.values()),
                "rows_by_model": written.rows,
                "first_date": days[0],
                "last_date": days[-1],
                "preview": dg.MetadataValue.md(markdown_table(written.preview)),
                "error_by_day": dg.MetadataValue.md(svg_as_markdown(plot, name="mean absolute error, 7-day mean")),
                "best_model": written.best,
                "coins_forecast_best": dg.MetadataValue.md(markdown_table(least)),
                "coins_forecast_worst": dg.MetadataValue.md(markdown_table(largest)),
                "path": dg.MetadataValue.path(str(backtest_path(settings.reports_dir))),
                "by_coin_path": dg.MetadataValue.path(str(by_coin_path(settings.reports_dir))),
            }
        )

    return backtest


def _leaderboard(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        group_name=GROUP,
        kinds={"python", "json"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        io_manager_key=CANDIDATES_IO,
        ins=_CANDIDATE_INS,
    )
    def leaderboard(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        **candidates: Any,
    ) -> dg.Output[dict]:
        """Candidates and baselines on the same folds, as reports/metrics.json: skill, errors, fold by fold."""
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
        kinds={"python", "joblib"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        ins={"leaderboard": dg.AssetIn("leaderboard"), **_CANDIDATE_INS},
    )
    def champion(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        leaderboard: Any,
        **candidates: Any,
    ) -> dg.MaterializeResult:
        """The model in use: models/current.pkl with metadata.json, scaler.json and the ledger.

        The candidates, and the champion's own recipe refitted on the newest rows, come before the gate in the order of their
        skill; the first that passes takes its place. Every refusal is recorded; where all are refused the champion stays.
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
        if not outcome.promoted:
            stays = f"{outcome.metadata['version']} stays" if outcome.metadata else "there is no champion"
            context.log.warning(
                f"no candidate passed the gate, so {stays}: {settings.models_dir}/ledger.jsonl says why"
            )
        shown = {"promoted": outcome.promoted, "reason": outcome.reason}
        metadata = outcome.metadata
        if metadata is not None:
            shown |= {
                "version": metadata["version"],
                "skill": float(metadata["metrics"]["skill"] or 0.0),
                "evaluation": metadata["evaluation"],
                "provisional": metadata["provisional"],
                "known_until": metadata["known_until"],
                "metadata": dg.MetadataValue.json(metadata),
            }
        if outcome.card is not None:
            path = dg.MetadataValue.path(str(card_path(settings.reports_dir)))
            shown |= {"card": dg.MetadataValue.md(outcome.card), "card_page": path}
        return dg.MaterializeResult(metadata=shown)

    return champion
