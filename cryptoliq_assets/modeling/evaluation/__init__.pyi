from .backtest import (
    LEAST_COIN_ROWS as LEAST_COIN_ROWS,
    BacktestSummary as BacktestSummary,
    backtest_path as backtest_path,
    by_coin_path as by_coin_path,
    check_backtest as check_backtest,
    extreme_coins as extreme_coins,
    means_per_coin as means_per_coin,
    measure_coins as measure_coins,
    read_by_coin as read_by_coin,
    smoothed as smoothed,
    write_backtest as write_backtest,
)
from .conformal import (
    LEAST_RESIDUALS as LEAST_RESIDUALS,
    PARTIAL_GROUPS as PARTIAL_GROUPS,
    WITHOUT as WITHOUT,
    SplitConformalIntervals as SplitConformalIntervals,
    calibrate_last as calibrate_last,
    coverage_report as coverage_report,
    groups_of as groups_of,
)
from .cross_validation import (
    BASELINES as BASELINES,
    POPULATIONS as POPULATIONS,
    Evaluation as Evaluation,
    Progress as Progress,
    evaluate as evaluate,
    evaluate_baseline as evaluate_baseline,
)
from .leaderboard import (
    bucket_table as bucket_table,
    candidate_named as candidate_named,
    coins_by_fold as coins_by_fold,
    leaderboard_table as leaderboard_table,
    make_leaderboard as make_leaderboard,
)
from .leakage import look_ahead as look_ahead, sampled_dates as sampled_dates
from .metrics import score_rows as score_rows
from .permutation_importance import IMPORTANCE_ROWS as IMPORTANCE_ROWS
