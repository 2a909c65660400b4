from .components import (
    ahead as ahead,
    chart as chart,
    coin as coin,
    figures as figures,
    forecasts as forecasts,
    health as health,
    needs_champion as needs_champion,
    needs_home as needs_home,
    nothing_yet as nothing_yet,
    page as page,
    score_column as score_column,
    shown as shown,
    text as text,
    usd_column as usd_column,
    without_traces as without_traces,
)
from .error_messages import UserFacingError as UserFacingError, user_facing_errors as user_facing_errors
from .launch import run_dashboard as run_dashboard
