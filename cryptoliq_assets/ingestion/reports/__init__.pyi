from .command_report import (
    COMMAND_TAG as COMMAND_TAG,
    command_of as command_of,
    command_report_path as command_report_path,
    entry_of as entry_of,
    extend_command_report as extend_command_report,
    read_command_report as read_command_report,
)
from .file_report import (
    REPORT_KEYS as REPORT_KEYS,
    blank_report as blank_report,
    describe_rows as describe_rows,
    name_date_issue as name_date_issue,
    refused_by_reason as refused_by_reason,
    row_issues as row_issues,
)
from .report_store import (
    find_report as find_report,
    find_report_path as find_report_path,
    keep_earlier_report as keep_earlier_report,
    read_report as read_report,
    report_path as report_path,
)
