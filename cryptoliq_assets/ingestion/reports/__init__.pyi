from .command_report import (
    COMMAND_TAG as COMMAND_TAG,
    build_command_report as build_command_report,
    command_report_path as command_report_path,
    extend_command_report as extend_command_report,
    get_command_id as get_command_id,
    summarize_file_report as summarize_file_report,
)
from .file_report import (
    REPORT_KEYS as REPORT_KEYS,
    count_rejections_by_reason as count_rejections_by_reason,
    describe_rows as describe_rows,
    find_name_date_issues as find_name_date_issues,
    list_row_issues as list_row_issues,
    make_blank_report as make_blank_report,
)
from .report_store import (
    archive_earlier_report as archive_earlier_report,
    find_report as find_report,
    find_report_path as find_report_path,
    find_reports as find_reports,
    read_report as read_report,
    report_path as report_path,
)
