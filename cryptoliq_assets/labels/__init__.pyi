from .liquidity import (
    CLIP_7D as CLIP_7D,
    CLIP_24H as CLIP_24H,
    FORMULAS as FORMULAS,
    Formula as Formula,
    Liquidity as Liquidity,
    check_formula as check_formula,
    daily_volatility as daily_volatility,
    get_formula as get_formula,
    log_return as log_return,
    score_liquidity as score_liquidity,
)
from .targets import LABEL_INPUT_COLUMNS as LABEL_INPUT_COLUMNS, label_targets as label_targets
