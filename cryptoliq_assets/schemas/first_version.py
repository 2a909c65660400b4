"""Features of the first version, whose columns every stored month file has.

Never add a name: a feature that is not listed here is an added one, and month files of earlier versions are read with its column
empty.
"""

# fmt: off
FIRST_VERSION_FEATURES = frozenset({
    "liquidity_score", "liquidity_score_mean_3d", "liquidity_score_mean_7d", "liquidity_score_mean_30d",
    "liquidity_score_mean_90d", "liquidity_score_std_7d", "liquidity_score_std_30d", "liquidity_score_lag_1d",
    "liquidity_score_lag_2d", "liquidity_score_lag_3d", "liquidity_score_lag_6d", "liquidity_score_ewm_2d",
    "liquidity_score_ewm_5d", "liquidity_score_ewm_15d", "volume_log", "volume_log_mean_3d", "volume_log_mean_7d",
    "volume_log_mean_30d", "volume_log_mean_90d", "volume_log_std_7d", "volume_log_std_30d", "volume_log_lag_1d",
    "volume_log_lag_2d", "volume_log_lag_3d", "volume_log_lag_6d", "volume_log_ewm_2d", "volume_log_ewm_5d",
    "volume_log_ewm_15d", "volatility_log", "volatility_log_mean_3d", "volatility_log_mean_7d",
    "volatility_log_mean_30d", "volatility_log_mean_90d", "volatility_log_std_7d", "volatility_log_std_30d",
    "volatility_log_lag_1d", "volatility_log_lag_2d", "volatility_log_lag_3d", "volatility_log_lag_6d",
    "volatility_log_ewm_2d", "volatility_log_ewm_5d", "volatility_log_ewm_15d", "turnover_log", "turnover_log_mean_3d",
    "turnover_log_mean_7d", "turnover_log_mean_30d", "turnover_log_mean_90d", "turnover_log_std_7d",
    "turnover_log_std_30d", "change_24h_abs", "change_24h_abs_mean_3d", "change_24h_abs_mean_7d",
    "change_24h_abs_mean_30d", "change_24h_abs_mean_90d", "change_24h_abs_std_7d", "change_24h_abs_std_30d",
    "change_1h", "change_24h", "change_7d", "return_1d", "return_2d", "return_3d", "return_4d", "return_5d",
    "return_6d", "price_log", "mkt_cap_log", "days_seen_90d", "weekday", "mkt_cap_rank_log", "market_score_median",
    "market_volatility_log_median", "market_change_24h_mean", "market_volume_log_vs_7d", "liquidity_ratio",
    "price_sqrt", "price_ma_7d",
})
# fmt: on
