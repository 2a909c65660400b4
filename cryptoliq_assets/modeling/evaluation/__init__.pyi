from .backtest import (
    MIN_COIN_ROWS as MIN_COIN_ROWS,
    BacktestSummary as BacktestSummary,
    average_over_coins as average_over_coins,
    backtest_path as backtest_path,
    best_and_worst_coins as best_and_worst_coins,
    by_coin_path as by_coin_path,
    check_backtest as check_backtest,
    measure_coins as measure_coins,
    read_backtest as read_backtest,
    read_by_coin as read_by_coin,
    smooth_daily as smooth_daily,
    write_backtest as write_backtest,
)
from .conformal import (
    MIN_RESIDUALS as MIN_RESIDUALS,
    SplitConformalIntervals as SplitConformalIntervals,
    calibrate_last as calibrate_last,
    coverage_report as coverage_report,
)
from .cross_validation import (
    BASELINES as BASELINES,
    Evaluation as Evaluation,
    FoldResult as FoldResult,
    Progress as Progress,
    combine_folds as combine_folds,
    evaluate as evaluate,
    evaluate_baseline as evaluate_baseline,
    evaluate_fold as evaluate_fold,
)
from .fold_metrics import POPULATIONS as POPULATIONS
from .interval_groups import (
    MISSING_CHANGE_GROUPS as MISSING_CHANGE_GROUPS,
    NO_HISTORY_PREFIX as NO_HISTORY_PREFIX,
    assign_interval_groups as assign_interval_groups,
)
from .leaderboard import (
    bucket_table as bucket_table,
    count_coins_by_fold as count_coins_by_fold,
    find_entry as find_entry,
    leaderboard_table as leaderboard_table,
    make_leaderboard as make_leaderboard,
)
from .leakage import find_look_ahead as find_look_ahead, sample_dates as sample_dates
from .metrics import score_rows as score_rows
from .permutation_importance import IMPORTANCE_ROWS as IMPORTANCE_ROWS
