from .main import cli as cli, script as script
from .options import month_range as month_range
from .result_tables import (
    print_accuracy as print_accuracy,
    print_finding as print_finding,
    print_findings as print_findings,
    print_forecasts as print_forecasts,
    print_leaderboard as print_leaderboard,
)
from .stores import (
    StoreHangsError as StoreHangsError,
    list_store_problems as list_store_problems,
    read_unless_hanging as read_unless_hanging,
)
from .terminal import (
    console as console,
    error_console as error_console,
    escape_text as escape_text,
    exit_with as exit_with,
    open_runner as open_runner,
    pass_home as pass_home,
    print_error as print_error,
    print_line as print_line,
    print_table as print_table,
    require_home as require_home,
)
