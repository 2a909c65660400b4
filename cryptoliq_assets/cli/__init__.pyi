from .main import cli as cli, script as script
from .options import month_range as month_range
from .result_tables import (
    print_finding as print_finding,
    print_findings as print_findings,
    show_accuracy as show_accuracy,
    show_forecasts as show_forecasts,
    show_leaderboard as show_leaderboard,
)
from .terminal import (
    console as console,
    errors as errors,
    escape_text as escape_text,
    exit_with as exit_with,
    pass_home as pass_home,
    print_error as print_error,
    print_line as print_line,
    require_home as require_home,
    running as running,
    table as table,
)
