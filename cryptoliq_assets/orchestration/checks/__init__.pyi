from .definitions import build_asset_checks as build_asset_checks, evaluate_freshness as evaluate_freshness
from .registry import (
    RESTATES as RESTATES,
    CheckOutcome as CheckOutcome,
    asset_check as asset_check,
    newest_only_names as newest_only_names,
)
