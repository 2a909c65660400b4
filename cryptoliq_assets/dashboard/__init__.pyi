from .components import (
    escape_markdown as escape_markdown,
    format_horizon as format_horizon,
    format_number as format_number,
    lacks_champion as lacks_champion,
    lacks_data_directory as lacks_data_directory,
    load_coin as load_coin,
    load_forecasts as load_forecasts,
    load_health as load_health,
    make_score_column as make_score_column,
    make_usd_column as make_usd_column,
    render_page as render_page,
    show_chart as show_chart,
    show_empty_state as show_empty_state,
    show_metrics as show_metrics,
    zero_below_precision as zero_below_precision,
)
from .error_messages import UserFacingError as UserFacingError, user_facing_errors as user_facing_errors
from .launch import run_dashboard as run_dashboard
from .page_registry import Page as Page, PageRegistrationError as PageRegistrationError, load_pages as load_pages
