from .liquidity import (
    CLIP_7D as CLIP_7D,
    CLIP_24H as CLIP_24H,
    FORMULAS as FORMULAS,
    Liquidity as Liquidity,
    check_formula as check_formula,
    daily_volatility as daily_volatility,
    formula_named as formula_named,
    log_return as log_return,
    score_liquidity as score_liquidity,
)
from .targets import LABELLED_FROM as LABELLED_FROM, label_targets as label_targets
