from .arrays import (
    AnyArray as AnyArray,
    BoolArray as BoolArray,
    FloatArray as FloatArray,
    IntArray as IntArray,
)
from .atomic_write import (
    create_file as create_file,
    find_free_path as find_free_path,
    make_folder as make_folder,
    move_file as move_file,
    open_with_folder_mode as open_with_folder_mode,
    remove_file as remove_file,
    remove_temp_files as remove_temp_files,
    sync_folders as sync_folders,
    temp_path_for as temp_path_for,
    to_json as to_json,
    to_json_by_key as to_json_by_key,
    write_chunks as write_chunks,
    write_file as write_file,
    write_files as write_files,
    write_json as write_json,
)
from .calendar import (
    CLEANING_BACK_DAYS as CLEANING_BACK_DAYS,
    FILL_BACKWARD_DAYS as FILL_BACKWARD_DAYS,
    FILL_FORWARD_DAYS as FILL_FORWARD_DAYS,
    HISTORY_DAYS as HISTORY_DAYS,
    OUTLIER_DAYS as OUTLIER_DAYS,
    add_months as add_months,
    affected_months as affected_months,
    contiguous_ranges as contiguous_ranges,
    date_span as date_span,
    first_day as first_day,
    last_day as last_day,
    max_months_spanned as max_months_spanned,
    month_of as month_of,
    months_between as months_between,
    to_unix_seconds as to_unix_seconds,
)
from .config import Settings as Settings, variable_name as variable_name
from .home import (
    ensure_home_id as ensure_home_id,
    explain_missing_home as explain_missing_home,
    prepare_home as prepare_home,
    read_home_id as read_home_id,
)
from .html import (
    html_key_figures as html_key_figures,
    html_note as html_note,
    html_page as html_page,
    html_table as html_table,
)
from .jsonl import (
    FileOffset as FileOffset,
    Journal as Journal,
    append_lines as append_lines,
    daily_path_factory as daily_path_factory,
    encode_line as encode_line,
    make_log_entry as make_log_entry,
    parse_line as parse_line,
    read_new_lines as read_new_lines,
    remove_old_days as remove_old_days,
    utc_timestamp as utc_timestamp,
)
from .locations import (
    Location as Location,
    cached_listings as cached_listings,
    file_exists as file_exists,
    file_state as file_state,
    forget_listing as forget_listing,
    has_cached_listings as has_cached_listings,
    is_remote as is_remote,
    is_version as is_version,
    list_files as list_files,
    list_names as list_names,
    list_sizes as list_sizes,
    list_states as list_states,
    modified_ns as modified_ns,
    resolve_location as resolve_location,
)
from .markdown import markdown_table as markdown_table
from .object_store import CallLimits as CallLimits, StoreUnavailableError as StoreUnavailableError
from .safe_open import (
    MAX_DOCUMENT_BYTES as MAX_DOCUMENT_BYTES,
    DamagedDocumentError as DamagedDocumentError,
    FileReadError as FileReadError,
    has_content as has_content,
    irregular_file_reason as irregular_file_reason,
    json_type as json_type,
    open_stored as open_stored,
    open_tail as open_tail,
    parse_json as parse_json,
    read_json as read_json,
    read_json_object as read_json_object,
    read_regular as read_regular,
    read_stored as read_stored,
    read_text as read_text,
)
from .spreadsheet_text import (
    neutralize as neutralize,
    neutralize_frame as neutralize_frame,
    neutralize_unless_number as neutralize_unless_number,
)
from .statistics import (
    center_by_day as center_by_day,
    expected_psi as expected_psi,
    median_shift as median_shift,
    missing_fraction as missing_fraction,
    psi as psi,
    robust_deviation as robust_deviation,
    robust_spread as robust_spread,
    robust_z as robust_z,
    wasserstein as wasserstein,
    weekday_effects as weekday_effects,
)
from .svg import COLOURS as COLOURS, bar_plot as bar_plot, line_plot as line_plot, svg_as_markdown as svg_as_markdown
